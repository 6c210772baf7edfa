"""What every group of settings keeps to: known keys, and numbers that were meant as numbers."""

import math
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A group of settings; a key that it does not know is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, strict=False, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuses true where a number is due, and 1 where truth is: Python takes them as equal."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        valid = [annotation, *get_args(annotation)]
        truth = bool in valid or any(choice is True for choice in valid)
        if type(value) is (int if truth else bool):
            raise PydanticCustomError("truth", "true and false are no numbers")
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _text_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuses a number in quotes: it is text, however much it looks like a number."""
        kinds = _kinds(cls.model_fields[str(info.field_name)].annotation)
        given = value if isinstance(value, list | tuple) else [value]
        if kinds & {int, float} and str not in kinds and any(map(_is_quoted_number, given)):
            raise PydanticCustomError("quoted", "a number in quotes is text")
        return value


def _kinds(annotation: Any) -> set[Any]:
    """Returns the types that an annotation names, at any depth; named values are none."""
    if get_origin(annotation) is Literal:
        return set()
    parts = get_args(annotation)
    return set[Any]().union(*map(_kinds, parts)) if parts else {annotation}


def _is_quoted_number(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return math.isfinite(float(value))  # nan and inf are told to be no numbers
    except ValueError:
        return False
