"""A model beside the pictures that it was trained on, or beside other real ones."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hiresvae.errors import UserError
from hiresvae.generator import PictureModel, PriorName
from hiresvae.metrics.features import FeatureNetwork
from hiresvae.metrics.perceptual import LEAST_SIDE, load_lpips
from hiresvae.metrics.results import Figure
from hiresvae.uses.feature_figures import distances
from hiresvae.uses.figures import Counts, paired, patches_floor, train_spectrum
from hiresvae.uses.groups import (
    RealFeatures,
    complete,
    feature_groups,
    features_of,
    floors,
    pixel_groups,
    real_features,
)
from hiresvae.uses.likelihood import likelihood_figures
from hiresvae.uses.memory_figures import memory_pixels
from hiresvae.uses.plan import LEAST_PICTURES, Plan
from hiresvae.uses.processes import in_blocks, is_alone, share
from hiresvae.uses.reals import BLOCK, Reals, filled


def measure_model(
    model: PictureModel, reference: Path | None, device: str, plan: Plan
) -> tuple[list[Figure], Counts]:
    """Returns the figures of a model and how many pictures were counted, by role.

    Args:
        model: the model.
        reference: folder of real pictures, archive or known set; None: the data that the model was
            trained on.
        device: where LPIPS runs.
        plan: what is wanted.

    Raises:
        UserError: the data or the reference cannot be used, or has too few pictures.
    """
    with plan.timed("pictures"):
        reals = _reals(model, reference, plan)
    unseen = {reals.role: len(reals.held_out)}
    counts = {reals.name: len(reals.train), **unseen}
    figures: list[Figure] = []
    made = torch.zeros(0)
    if plan.network is not None or plan.wants("texture", "patches", "diversity", "memory"):
        with plan.timed("samples"):
            made = _drawn(model, "fitted", plan)
        counts["samples"] = plan.samples
        used = {"samples": plan.samples, **unseen}
        figures += pixel_groups("samples", made, reals.held_out, used, plan)
        if plan.wants("texture") and reals.name == "train" and reals.has_held_out:
            with plan.timed("texture"):
                figures += train_spectrum(made, reals.train, reals.held_out)
    copies = torch.zeros(0)
    if plan.wants("texture", "patches", "paired") or _measures_distance(plan):
        with plan.timed("reconstructions"):
            copies = _reconstruct(model, _seen(model, reals, plan))
        figures += pixel_groups("reconstructions", copies, reals.held_out, unseen, plan)
    if plan.wants("patches"):
        train = reals.train[: plan.samples] if reals.has_held_out else None
        figures += patches_floor(reals.held_out, train, plan.seed)
    if plan.wants("paired"):
        with plan.timed("paired"):
            _lpips(model.settings.data.size, device, plan)
            figures += paired(copies, reals.held_out, unseen, plan.seed, plan.perceptual)
    if plan.wants("memory") and reference is None:
        with plan.timed("memory"):
            figures += _memory_pixels(made, reals, plan)
    if plan.wants("likelihood"):
        with plan.timed("likelihood"):
            figures += _likelihood(model, reals, unseen, plan)
    if plan.network is not None:
        figures += _of_features(model, reals, made, copies, plan.network, plan)
    return figures, counts


def _reals(model: PictureModel, reference: Path | None, plan: Plan) -> Reals:
    """Returns the real pictures; of a reference all, since none of it need have been trained on."""
    settings = model.settings.data
    if reference is None:
        reals = Reals.of(model.data(), settings.size, plan.most)
    else:
        from hiresvae.data import open_data
        from hiresvae.data.catalogue import reference_source

        # Of the model's own number of channels, or it could not reconstruct them.
        new = {
            "source": reference_source(reference),
            "labels": "none",
            "limit": None,
            "held_out": 0.0,
        }
        data = open_data(settings.model_copy(update={**new, "channels": model.model.channels}))
        reals = Reals.of(data, settings.size, plan.most, "reference")
        if plan.wants("memory"):
            plan.notes.append(
                "memory was left out: the pictures of --reference need not be those trained on"
            )
    if reals.total < LEAST_PICTURES:
        where = settings.source if reference is None else reference
        raise UserError(
            f"{where} has {reals.total} pictures to measure by: {LEAST_PICTURES} or more are needed"
        )
    if reals.name == "train" and not reals.has_held_out:
        plan.notes.append("nothing is held out: training pictures stand in for held-out ones")
    if len(reals.held_out) == 1 and plan.wants("diversity", "memory"):
        plan.notes.append(
            "one picture is held out: diversity in pixels, and the nearness of samples beside that "
            "of held-out pictures, were left out"
        )
    return reals


def _measures_distance(plan: Plan) -> bool:
    return plan.network is not None and plan.wants("distance")


def _memory_pixels(made: Tensor, reals: Reals, plan: Plan) -> list[Figure]:
    unseen = reals.held_out if reals.has_held_out else None
    used = {"samples": plan.samples, "train": reals.total}
    return memory_pixels("samples", made, reals.blocks(), unseen, used, plan.seed)


def _of_features(
    model: PictureModel,
    reals: Reals,
    made: Tensor,
    copies: Tensor,
    network: FeatureNetwork,
    plan: Plan,
) -> list[Figure]:
    """Returns all figures that rest on the feature network, for both priors and for copies."""
    with plan.timed("reference_features"):
        unseen = None
        if reals.has_held_out and plan.wants("distance", "memory"):
            unseen = real_features(reals.held_out, network)
        train = real_features(reals.train, network)
    learned = reals.name == "train" and complete(len(train), reals.total, plan)
    real = RealFeatures(train, unseen, learned, reals.train_labels)
    used = {"samples": plan.samples, reals.name: len(train)}
    drawn = model.drawn_labels(list(range(plan.samples)), seed=plan.seed)
    labels = None if drawn is None else drawn.cpu().numpy()
    figures: list[Figure] = []
    for prior in ("fitted", "standard"):
        if prior == "standard":
            with plan.timed("samples"):
                made = _drawn(model, "standard", plan)
        with plan.timed("features"):
            fake = features_of(made, network)
        figures += feature_groups(prior, fake, real, network, used, plan, labels)
    if plan.wants("distance"):
        figures += _of_copies(model, reals, real, copies, network, plan)
    return figures + floors(train, network, plan)


def _of_copies(
    model: PictureModel,
    reals: Reals,
    real: RealFeatures,
    copies: Tensor,
    network: FeatureNetwork,
    plan: Plan,
) -> list[Figure]:
    """Returns the distances of reconstructions to their own originals.

    Held-out pictures first, then training ones, no more in all than the other distances have; of a
    denoising model the held-out ones alone, since only of those it is known what its encoder sees.
    """
    room = max(0, plan.most - len(reals.held_out)) if reals.has_held_out else 0
    rest = reals.train[: room if model.settings.corruption is None else 0]
    with plan.timed("features"):
        remade = [features_of(copies, network)]
        if len(rest):
            remade.append(features_of(_reconstruct(model, rest), network))
    originals = real.train
    if real.unseen is not None:
        originals = np.concatenate([real.unseen, real.train[: len(rest)]])
    counts = {reals.role: len(reals.held_out)}
    if len(rest):
        counts["train"] = len(rest)
    with plan.timed("distance"):
        return distances("r{}", np.concatenate(remade), originals, network, counts, paired=True)


def _likelihood(model: PictureModel, reals: Reals, counts: Counts, plan: Plan) -> list[Figure]:
    try:
        return likelihood_figures(
            model,
            reals.held_out,
            counts,
            seed=plan.seed,
            iwae=plan.iwae,
            notes=plan.notes,
            train=reals.train if reals.has_held_out else None,
            train_labels=reals.train_labels,
        )
    except UserError as error:
        plan.notes.append(str(error))
        return []


def _lpips(side: int, device: str, plan: Plan) -> None:
    """Gives the plan its LPIPS, or the sentence that says why there is none."""
    if side < LEAST_SIDE:
        plan.notes.append(f"LPIPS was left out: it needs pictures of {LEAST_SIDE} pixels or more")
        return
    try:
        plan.perceptual = load_lpips(device)
    except UserError as error:
        plan.notes.append(str(error))


def _drawn(model: PictureModel, prior: PriorName, plan: Plan) -> Tensor:
    """Returns samples of a prior, uint8 ``(N, C, H, W)``; picture i depends on (seed, i) only."""
    mine = share(plan.samples)
    count = mine.stop - mine.start
    batches = model.sample_batches(count, seed=plan.seed, prior=prior, start=mine.start)
    return _whole(filled(count, batches, f"samples of the {prior} prior"), plan.samples)


def _reconstruct(model: PictureModel, pictures: Tensor) -> Tensor:
    mine = pictures[share(len(pictures))]
    batches = model.reconstruct_batches(mine) if len(mine) else ()
    return _whole(filled(len(mine), batches, "reconstructions"), len(pictures))


def _seen(model: PictureModel, reals: Reals, plan: Plan) -> Tensor:
    """Returns the held-out pictures as the model's encoder is to see them: corrupted or not."""
    seen = reals.seen(model.settings.corruption, plan.seed)
    if seen is not None:
        return seen
    plan.notes.append("the reference has no corrupted pictures: the encoder saw the clean ones")
    return reals.held_out


def _whole(mine: Tensor, count: int) -> Tensor:
    """Returns the pictures of all processes, ``count`` in all; of one process the very same."""
    if is_alone():
        return mine
    return filled(count, (torch.from_numpy(x) for x in in_blocks(mine.numpy(), count, BLOCK)))
