"""What a benchmark is asked for, refused before anything is trained."""

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
