"""What the page may ask for; whatever else arrives is refused in a sentence."""

from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hiresvae.errors import UserError

Amount = Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)]


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Wish = TypeVar("Wish", bound=_Wish)


class Picture(_Wish):
    """A sample by its seed, or a dropped picture by its key; one of the two."""

    sample: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    key: Annotated[str, Field(max_length=64)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.sample is None) == (self.key is None):
            raise ValueError("a picture is a sample or a key")
        return self


class Knobs(_Wish):
    """What the sliders say.

    Attributes:
        temperature: of samples; pictures that were dropped have none.
        label: the label to draw or to show a picture under; None: as it falls.
        axes: standard deviations along the main directions, the first ones first.
        attributes: strengths by name.
        detail: how much of what the model forgets of dropped pictures is given back to them.
    """

    temperature: Annotated[float, Field(ge=0, le=3, allow_inf_nan=False)] = 1.0
    label: str | None = None
    axes: Annotated[list[Amount], Field(max_length=64)] = []
    attributes: Annotated[dict[str, Amount], Field(max_length=256)] = {}
    detail: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0

    def still(self) -> "Knobs":
        """Returns the knobs of what is drawn, none of what moves it."""
        return Knobs(temperature=self.temperature, label=self.label)


class Paint(_Wish):
    """Pictures under knobs."""

    pictures: Annotated[list[Picture], Field(min_length=1, max_length=64)]
    knobs: Knobs = Knobs()


class Pair(_Wish):
    """Two pictures, the first under the knobs, the second as it is."""

    a: Picture
    b: Picture
    knobs: Knobs = Knobs()


class Between(Pair):
    """The way from one to the other."""

    steps: Annotated[int, Field(ge=2, le=64)] = 9


class Mix(Pair):
    """The first rungs of one with the rest of the other."""

    keep: int


def understood(kind: type[Wish], body: bytes) -> Wish:
    """Returns what a request asks for.

    Raises:
        UserError: it is not JSON, or not of this kind.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the request"
        raise UserError(f"{place}: {first['msg']}") from error
