"""Contestants that differ only in what is compared."""

from collections.abc import Mapping
from typing import Any

from trials import Job

from hiresvae.errors import UserError
from hiresvae.settings import Settings

# The ladders of these configurations need 32 pixels, or twice that and so on.
SIDES = "32 for all four; 28 suits fashion_mnist where --contestants are cvaegan,vae"
# What the contest is about: the adversary, and these keys of the model, in which the configurations
# of the contestants differ. All else, the model's other keys too, is the same for all.
COMPARED_SECTIONS = {"name", "model", "adversary"}
COMPARED = {
    "grain", "pyramid", "rung_dim", "scale", "beta", "kl_balance", "fine_temperature",
}  # fmt: skip


def refuse_unfit(jobs: Mapping[str, Job]) -> None:
    """Refuses a side of the pictures that some contestants can be trained at, but not all.

    Raises:
        UserError: names one that does not fit, those that do, and the sides.
    """
    fit: list[str] = []
    unfit: list[tuple[str, UserError]] = []
    for who, job in jobs.items():
        try:
            job.settings()
            fit.append(who)
        except UserError as error:
            if "data.size" not in str(error):
                raise
            unfit.append((who, error))
    if fit and unfit:
        who, reason = unfit[0]
        raise UserError(
            f"{who} does not fit, {', '.join(fit)} would: {reason}; --size is {SIDES}"
        ) from reason


def refuse_unfair(jobs: Mapping[str, Job]) -> None:
    """Refuses contestants that differ in what is not compared.

    Raises:
        UserError: names the section, or the key of the model, and both files.
    """
    (first, one), *others = [(job.config.name, shared(job.settings())) for job in jobs.values()]
    for name, other in others:
        for key, value in one.items():
            if value != other[key]:
                raise UserError(
                    f"{first} and {name} differ in {key!r}, which is not what is compared; "
                    "nearest valid: the same values in both"
                )


def shared(settings: Settings) -> dict[str, Any]:
    """Returns the settings that all contestants share, by section and by key of the model."""
    sections = settings.model_dump(exclude=COMPARED_SECTIONS)
    model = settings.model.model_dump(exclude=COMPARED)
    return sections | {f"model.{key}": value for key, value in model.items()}
