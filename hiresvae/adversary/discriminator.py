"""The critic: a residual network over the whole picture."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hiresvae.adversarial import GROUP, PATCH_LEVEL, AdversarySettings
from hiresvae.adversary import spectral
from hiresvae.blocks.layers import activate, conv, linear
from hiresvae.models.encoder import Trunk
from hiresvae.models.vae import widths_at
from hiresvae.pyramid import parse_pyramid


@dataclass(frozen=True)
class Judgement:
    """What the critic makes of pictures.

    Attributes:
        logits: ``(N, M)``, higher is more real; M is 1 for a whole-image critic, else one for
            every patch of every scale.
        features: by side, ``{side: (N, width, side, side)}``.
        shares: ``(M,)``, how much each logit counts; they sum to 1, every scale counts the same.
            None where all count the same.
        embedding: ``(N, E)``, what the last layers are given, averaged over patches, scale by
            scale; that of the whole picture depends on its neighbours, as its logit does.
        class_logits: ``(N, K)``; None without a classifier.
        class_embedding: ``(N, E')``, what the classifier's last layer is given.
    """

    logits: Tensor
    features: dict[int, Tensor]
    shares: Tensor | None = None
    embedding: Tensor | None = None
    class_logits: Tensor | None = None
    class_embedding: Tensor | None = None

    @property
    def weights(self) -> Tensor:
        """Returns the shares, ``(M,)``."""
        if self.shares is not None:
            return self.shares
        count = self.logits.shape[1]
        return self.logits.new_full((count,), 1 / count)


BANDS = ((3, 8.0), (9, 3.0))
"""Sides of the local means whose differences a critic also sees, and how much these are enlarged:
about to the contrast of the picture."""


def with_detail(images: Tensor) -> Tensor:
    """Returns ``(N, 3C, H, W)``: the images, and enlarged their two bands of finest detail.

    Detail is what a blurred picture lacks, and has a tenth of a picture's contrast: left alone, a
    critic learns colours first and detail after thousands of steps. Shown apart it needs a third
    of the steps to the same loss.
    """
    shown, rest = [images], images
    for side, enlarged in BANDS:
        mean = _local_mean(rest, side)
        shown.append(enlarged * (rest - mean))
        rest = mean
    return torch.cat(shown, dim=1)


def _local_mean(images: Tensor, side: int) -> Tensor:
    """Returns the mean of the pixels in a square about each; along one axis, then the other.

    A third of the time of both at once where the square is large.
    """
    for axes in ((side, 1), (1, side)):
        padding = (axes[0] // 2, axes[1] // 2)
        images = F.avg_pool2d(images, axes, 1, padding=padding, count_include_pad=False)
    return images


def spread(state: Tensor) -> Tensor:
    """Returns one map ``(N, 1, h, w)``: how much neighbouring pictures differ in their features.

    Lets the critic see a collapse to one picture (Karras et al. 2018, arXiv 1710.10196). Rows that
    fill no group of four are compared in one smaller group.
    """
    n, _, h, w = state.shape
    whole = n - n % GROUP
    maps = []
    for rows, size in ((state[:whole], GROUP), (state[whole:], n - whole)):
        if len(rows):
            groups = rows.float().unflatten(0, (-1, size))
            deviations = (groups.var(1, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
            maps.append(deviations.repeat_interleave(size)[:, None, None, None])
    return torch.cat(maps).expand(n, 1, h, w).to(state.dtype)


def at_least_float32(state: Tensor) -> Tensor:
    """Returns half precision as float32, and all else as it is."""
    return state.to(torch.promote_types(state.dtype, torch.float32))


def unshortened(state: Tensor) -> AbstractContextManager[Any]:
    """Leaves logits the precision of weights.

    A critic that judges real beside made pictures has no zero to stay near, and far from it the
    steps between bfloat16 numbers are as large as what it tells them apart by.
    """
    if state.device.type == "meta":  # where shapes alone are asked for, and autocast is unknown
        return nullcontext()
    return torch.autocast(state.device.type, enabled=False)


class PatchHead(nn.Module):
    """Judges every position of one side: ``(N, width, h, h)`` to logits ``(N, h * h)``.

    What a position sees of the picture is told by `receptive_field`.

    Args:
        width: channels of the features.
        classes: number of labels, 0 for none.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.mix = conv(width, width, 1)
        self.verdict = conv(width, 1, 1, gain=0.5)
        self.table = nn.Embedding(classes, width) if classes else None

    def forward(self, features: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Returns the logits of all positions, and the mean of what they are made of ``(N, E)``."""
        state = activate(self.mix(activate(features)))
        with unshortened(state):
            whole = at_least_float32(state)
            logits = self.verdict(whole).flatten(1)
            if self.table is not None and labels is not None:
                match = torch.einsum("nc,nchw->nhw", self.table(labels), whole)
                logits = logits + match.flatten(1) / state.shape[1] ** 0.5
        return logits, state.mean((2, 3))


class WholeHead(nn.Module):
    """Judges a picture as a whole, beside its neighbours in the batch: logits ``(N, 1)``.

    Args:
        width: channels of the features.
        side: side of the features.
        classes: number of labels, 0 for none.
    """

    def __init__(self, width: int, side: int, classes: int) -> None:
        super().__init__()
        self.mix = conv(width + 1, width)
        self.flat = linear(width * side**2, width)
        self.verdict = linear(width, 1, gain=0.5)
        self.table = nn.Embedding(classes, width) if classes else None

    def forward(self, features: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Returns one logit a picture, and what it is made of ``(N, width)``."""
        state = activate(features)
        state = activate(self.mix(torch.cat([state, spread(state)], dim=1)))
        vector = activate(self.flat(state.flatten(1)))
        with unshortened(vector):
            whole = at_least_float32(vector)
            logits = self.verdict(whole)
            if self.table is not None and labels is not None:
                match = (self.table(labels) * whole).sum(1, keepdim=True)
                logits = logits + match / vector.shape[1] ** 0.5
        return logits, vector


class ClassHead(nn.Module):
    """Tells the class of a picture: features ``(N, width, h, h)`` to logits ``(N, K)``.

    Args:
        width: channels of the features.
        classes: K.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.mix = conv(width, width, 1)
        self.verdict = linear(width, classes, gain=0.5)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the logits of all classes, and what they are made of ``(N, width)``."""
        vector = activate(self.mix(activate(features))).mean((2, 3))
        return self.verdict(vector).float(), vector


def receptive_field(level: int, blocks: int) -> int:
    """Returns the side in pixels of what one position sees after ``level`` halvings.

    Counted up from one pixel: 10 for the local means of `with_detail`, 2 for the stem, 4 for each
    residual block (two 3x3 convolutions) and 3 for each blur (4x4), each times the pixels that one
    step on its side spans. For a patch critic, two halvings, that is ``22 + 28 * blocks``.

    Example:
        >>> receptive_field(2, 1), receptive_field(2, 2), receptive_field(3, 1)
        (50, 78, 94)
    """
    field = 1 + sum(side - 1 for side, _ in BANDS) + 2 + 4 * blocks
    for i in range(level):
        field += 3 * 2**i + 4 * blocks * 2 ** (i + 1)
    return field


class Discriminator(nn.Module):
    """Pictures ``(N, C, H, W)`` in [-1, 1] to logits and features; no normalisation anywhere.

    With labels a logit gains ``<embedding(label), features>`` (Miyato and Koyama 2018,
    arXiv 1802.05637), so that a wrong label lowers it; or a classifier stands beside it, on the
    same features (Odena et al. 2017, arXiv 1610.09585) or on its own (Bao et al. 2017, arXiv
    1703.10155). A patch critic judges the features at a quarter of the side, each position by the
    50 pixels about it (78 with two blocks, see `receptive_field`); ``multiscale`` judges every
    coarser side as well, and the whole.

    Args:
        settings: the section ``adversary``.
        size: side of the pictures.
        channels: 1 or 3.
        classes: number of labels, 0 for none.
    """

    def __init__(
        self, settings: AdversarySettings, *, size: int, channels: int, classes: int = 0
    ) -> None:
        super().__init__()
        sides = every = [level.side for level in parse_pyramid("auto", size)[:0:-1]]
        kind, condition = settings.critic, settings.condition
        self.classes = classes if condition in ("classifier", "both") else 0
        classes = classes if condition in ("projection", "both") else 0
        if kind == "patch":
            sides = sides[: PATCH_LEVEL + 1]
        widths = widths_at(sides, size, settings.width, settings.max_width)
        self.trunk = Trunk(
            sides, widths, (1 + len(BANDS)) * channels, blocks=settings.blocks, attention=[]
        )
        judged = [] if kind == "whole" else list(zip(sides, widths, strict=True))[PATCH_LEVEL:]
        if kind != "whole":
            judged = judged or [(sides[-1], widths[-1])]
        self.patches = nn.ModuleDict({str(side): PatchHead(w, classes) for side, w in judged})
        self.whole = None if kind == "patch" else WholeHead(widths[-1], sides[-1], classes)
        self.embedding_dim = sum(w for _, w in judged) + (widths[-1] if self.whole else 0)
        self.class_trunk = None
        if self.classes and settings.classifier_trunk == "own":
            widths = widths_at(every, size, settings.width, settings.max_width)
            self.class_trunk = Trunk(
                every, widths, (1 + len(BANDS)) * channels, blocks=settings.blocks, attention=[]
            )
        self.class_dim = widths[-1]
        self.class_head = ClassHead(widths[-1], self.classes) if self.classes else None
        if settings.spectral_norm:
            spectral.bound(self)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Judgement:
        """Returns the judgement of images ``(N, C, H, W)`` with labels ``(N,)``."""
        seen = with_detail(images)
        features = self.trunk(seen)
        judged = [head(features[int(side)], labels) for side, head in self.patches.items()]
        if self.whole is not None:
            judged.append(self.whole(features[min(features)], labels))
        scales, embeddings = zip(*judged, strict=True)
        shares = [s.new_full((s.shape[1],), 1 / (s.shape[1] * len(scales))) for s in scales]
        class_logits = class_embedding = None
        if self.class_head is not None:
            own = features if self.class_trunk is None else self.class_trunk(seen)
            class_logits, class_embedding = self.class_head(own[min(own)])
        return Judgement(
            torch.cat(scales, dim=1),
            features,
            torch.cat(shares),
            embedding=torch.cat(embeddings, dim=1),
            class_logits=class_logits,
            class_embedding=class_embedding,
        )
