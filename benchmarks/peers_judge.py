"""One judge for pictures of whatever origin: the same figures beside the same real pictures."""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

import hiresvae
from hiresvae.devices import choose_device
from hiresvae.errors import UserError
from hiresvae.metrics.features import FeatureNetwork, load_network
from hiresvae.run import write_json
from hiresvae.uses.evaluate import RECIPE
from hiresvae.uses.feature_figures import distances
from hiresvae.uses.figures import patches_floor
from hiresvae.uses.groups import (
    RealFeatures,
    complete,
    feature_groups,
    features_of,
    floors,
    pixel_groups,
    real_features,
)
from hiresvae.uses.memory_figures import memory_pixels
from hiresvae.uses.plan import LEAST_PICTURES, OF_FEATURES, Plan, chosen_groups
from hiresvae.uses.reals import Reals

if TYPE_CHECKING:
    from hiresvae.data import PictureData

GROUPS = "texture,patches,distance,coverage,diversity,memory"
"""What can be told of pictures without their model."""


def groups_of_pictures(metrics: str) -> frozenset[str]:
    """Returns the groups that ``all``, or names with commas between, mean without a model.

    Raises:
        UserError: a name is no group, or a group needs the model.
    """
    groups, valid = chosen_groups(metrics), GROUPS.split(",")
    of_models = sorted(groups.difference(valid))
    if of_models and metrics.strip() != "all":
        raise UserError(
            f"metrics {of_models[0]!r} cannot be told of pictures without their model; valid are "
            f"{', '.join(valid)}"
        )
    return groups.intersection(valid)


class Judge:
    """Measures samples as `hiresvae evaluate` measures those of a model.

    Texture is beside held-out pictures; distances, coverage and memory beside those trained on,
    distances beside the held-out ones as well.

    Args:
        data: that all were trained on.
        size: side of the pictures.
        samples: pictures of each contestant.
        features: as in ``hiresvae evaluate``.
        metrics: names of `GROUPS` with commas between.
        device: of the feature network; None: the accelerator if there is one.

    Raises:
        UserError: too few pictures, unknown metrics or unreadable features.
    """

    def __init__(
        self,
        data: "PictureData",
        size: int,
        samples: int,
        *,
        features: str = "auto",
        metrics: str = GROUPS,
        device: str | None = None,
    ) -> None:
        self.plan = Plan(groups_of_pictures(metrics), samples, 0)
        self.reals = Reals.of(data, size, self.plan.most)
        if min(samples, len(self.reals.train), len(self.reals.held_out)) < LEAST_PICTURES:
            raise UserError(
                f"{samples} samples, {len(self.reals.train)} pictures for training and "
                f"{len(self.reals.held_out)} held out: {LEAST_PICTURES} or more of each are needed"
            )
        if self.plan.wants(*OF_FEATURES) and features != "none":
            self.plan.network = self._network(features, str(choose_device(device)))
        names = ",".join(sorted(self.plan.groups))
        self.asked = {"data": data.key, "features": features, "metrics": names, "samples": samples}

    def _network(self, features: str, device: str) -> FeatureNetwork | None:
        try:
            return load_network(features, device)
        except UserError as error:
            if features != "auto":
                raise
            self.plan.notes.append(str(error))
            return None

    def figures(self, made: Tensor) -> dict[str, Any]:
        """Returns the figures of pictures uint8 ``(N, C, S, S)`` by name, as JSON holds them."""
        plan, reals = self.plan, self.reals
        unseen = {reals.role: len(reals.held_out)}
        counts = {"samples": len(made), **unseen}
        found = pixel_groups("samples", made, reals.held_out, counts, plan)
        if plan.wants("memory"):
            used = {"samples": len(made), "train": reals.total}
            others = reals.held_out if reals.has_held_out else None
            found += memory_pixels("samples", made, reals.blocks(), others, used, plan.seed)
        if plan.network is not None:
            fake = features_of(made, plan.network)
            real = self._real(plan.network)
            used = {"samples": len(made), "train": len(real.train)}
            found += feature_groups("samples", fake, real, plan.network, used, plan)
            if plan.wants("distance") and real.unseen is not None:
                found += distances("g{}_held_out", fake, real.unseen, plan.network, counts)
        return {figure.name: figure.to_json() for figure in found}

    @cached_property
    def floors(self) -> dict[str, Any]:
        """Returns how far real pictures are from real ones."""
        found = []
        if self.plan.network is not None:
            found += floors(self._real(self.plan.network).train, self.plan.network, self.plan)
        if self.plan.wants("patches"):
            train = self.reals.train[: self.plan.samples] if self.reals.has_held_out else None
            found += patches_floor(self.reals.held_out, train, self.plan.seed)
        return {figure.name: figure.to_json() for figure in found}

    def _real(self, network: FeatureNetwork) -> RealFeatures:
        train = real_features(self.reals.train, network)
        unseen = real_features(self.reals.held_out, network) if self.reals.has_held_out else None
        return RealFeatures(train, unseen, complete(len(train), self.reals.total, self.plan))

    def kept(self, made: np.ndarray, file: Path) -> dict[str, Any]:
        """Returns the figures of pictures, from a file if it answers the same question.

        Args:
            made: uint8 ``(N, C, S, S)``.
            file: JSON, written if it was not there.
        """
        content = hashlib.sha256(np.ascontiguousarray(made).tobytes()).hexdigest()
        question = {
            **self.asked,
            "pictures": content,
            "hiresvae": hiresvae.__version__,
            "recipe": RECIPE,
        }
        if file.is_file():
            try:
                told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            except ValueError:
                told = {}
            if isinstance(told, dict) and told.get("asked") == question and "figures" in told:
                figures: dict[str, Any] = told["figures"]
                return figures
        figures = self.figures(torch.from_numpy(made))
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {"asked": question, "figures": figures})
        return figures
