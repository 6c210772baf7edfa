"""What a benchmark is asked for, refused before anything is trained."""

from pathlib import Path

from hiresvae.errors import UserError
from hiresvae.uses.evaluate import feature_network
from hiresvae.uses.plan import LEAST_PICTURES, OF_FEATURES, Plan, chosen_groups


def refuse_unmeasurable(samples: int, features: str, metrics: str) -> None:
    """Refuses what ``hiresvae evaluate`` would refuse once a model is there.

    A network that is not named is not looked for: without it an evaluation has fewer figures.

    Args:
        samples: pictures that are drawn.
        features: ``auto``, ``none`` or a TorchScript file.
        metrics: ``all``, or names of groups with commas between.

    Raises:
        UserError: too few samples, an unknown group, or a feature file that cannot be read.
    """
    plan = Plan(chosen_groups(metrics), samples, 0)
    if samples < LEAST_PICTURES:
        raise UserError(
            f"--samples {samples} is too few to measure anything: take {LEAST_PICTURES} or more"
        )
    if features != "auto" and plan.wants(*OF_FEATURES):
        feature_network(features, "cpu", plan)


def refuse_files(**folders: Path) -> None:
    """Refuses files where folders will be made.

    Args:
        folders: by the option that names each.

    Raises:
        UserError: a folder, or one above it, is a file.
    """
    for option, folder in folders.items():
        for path in (folder, *folder.parents):
            if path.exists() and not path.is_dir():
                raise UserError(
                    f"--{option} {folder}: {path} is a file where a folder is needed; nearest "
                    f"valid: another folder, such as {path.with_name(path.name + '_folder')}"
                )
