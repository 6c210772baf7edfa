"""What an evaluation is asked for, what it may use, and what it has to say about itself."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hiresvae.errors import UserError, nearest
from hiresvae.metrics.features import FeatureNetwork
from hiresvae.metrics.perceptual import PerceptualNetwork
from hiresvae.uses.reals import MOST_REALS

GROUPS = {
    "texture": "sharpness, edges, spectrum, grids",
    "patches": "sliced Wasserstein distance",
    "paired": "PSNR, SSIM, MS-SSIM, LPIPS of reconstructions",
    "distance": "FID and KID, their floors",
    "coverage": "precision, recall, density, coverage",
    "diversity": "mean distance of two pictures",
    "memory": "nearest training pictures, MiFID",
    "likelihood": "ELBO, IWAE, bits/dim, KL of each rung, active units",
}
OF_FEATURES_ALONE = {"distance", "coverage"}
OF_FEATURES = OF_FEATURES_ALONE | {"diversity", "memory"}
# Fewer pictures of a kind than this say nothing.
LEAST_PICTURES = 8


@dataclass
class Plan:
    """What is to be measured, and what is said about it on the way.

    Attributes:
        groups: names from `GROUPS`.
        samples: pictures drawn for each prior, if any are needed.
        seed: of everything random.
        iwae: importance samples.
        network: of features, or None.
        perceptual: LPIPS, or None.
        size: side in pixels at which everything is measured, once that is known.
        notes: sentences for what did not run.
        seconds: by group.
    """

    groups: frozenset[str]
    samples: int
    seed: int
    iwae: int = 0
    network: FeatureNetwork | None = None
    perceptual: PerceptualNetwork | None = None
    size: int | None = None
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def most(self) -> int:
        """How many real pictures of a kind are used at most."""
        return max(MOST_REALS, self.samples)

    def wants(self, *groups: str) -> bool:
        """Whether any of the groups is to be measured."""
        return not self.groups.isdisjoint(groups)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Adds the seconds of a block to those of that name."""
        begun = time.monotonic()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - begun, 2)


def chosen_groups(metrics: str) -> frozenset[str]:
    """Returns the groups that ``all``, or names with commas between, mean.

    Raises:
        UserError: a name is no group.
    """
    names = [name.strip() for name in metrics.split(",")]
    if names == ["all"]:
        return frozenset(GROUPS)
    for name in names:
        if name not in GROUPS:
            raise UserError(f"metrics {name!r} is no group: {nearest(name, ['all', *GROUPS])}")
    return frozenset(names)
