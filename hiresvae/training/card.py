"""The model card: what a model folder says of itself to whoever finds it."""

import re
from collections.abc import Sequence
from typing import Any

import torch

from hiresvae.data import PictureData
from hiresvae.errors import UserError, printable
from hiresvae.generator import PictureModel
from hiresvae.training.seconds import training_seconds

_CARD = """\
---
library_name: hiresvae
tags: [image-generation, vae{tags}]
---
# {name}

Makes pictures of {size} x {size} px ({colour}). Trained by hiresvae on {source}:
{train:,} pictures, {held:,} held out, {images:,} images seen.

- model: {kind}, {parameters:,} parameters, likelihood {likelihood}
- adversary: {adversary}
- prior: {prior}
- labels: {labels}
- seed: {seed}
{facts}
```
hiresvae sample PATH_OF_THIS_FOLDER --n 16 --grid samples.png
```

The pictures that it was trained on have their own terms, which hold for what it makes as well.
"""

# What Markdown, or the formulas and bare addresses of its dialects, might obey within a line.
_MARKS = re.compile(r"[\\`*_\[\]#|~$<>&]|:(?=//)|(?<=www)\.")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def model_card(used: PictureModel, data: PictureData, facts: Sequence[str] = ()) -> str:
    """Returns the card in Markdown.

    Args:
        used: the model.
        data: what it was trained on.
        facts: more lines, such as those of `cost` and `score`; empty ones are left out.
    """
    settings = used.settings
    rungs = len(used.model.latent_shapes)
    taught = f", denoising ({settings.corruption.kind})" if settings.corruption else ""
    against: list[str] = [settings.adversary.loss] if settings.adversary else []
    against += ["introspective"] if settings.introspective else []
    return _CARD.format(
        name=plain(settings.name),
        tags=", gan" if against else "",
        size=used.model.size,
        colour="colour" if used.model.channels == 3 else "grey",
        source=plain(settings.data.source),
        train=len(data.train),
        held=len(data.held_out),
        images=used.images_seen,
        kind=f"{settings.model.backbone}, {rungs} rung{'s' if rungs > 1 else ''}{taught}",
        parameters=sum(p.numel() for p in used.model.parameters()),
        likelihood=settings.model.likelihood,
        adversary=" and ".join(against) or "none",
        prior=used.prior.kind,
        labels=", ".join(map(plain, used.classes)) if used.conditional else "none",
        seed=settings.seed,
        facts="".join(f"- {plain(fact)}\n" for fact in facts if fact),
    )


def plain(words: str) -> str:
    r"""Returns Markdown of one line that reads as the words do, whatever these hold.

    Names of labels and folders are anybody's, and the card goes to a site that renders it.

    Example:
        >>> plain("<b>*x*</b>")
        '&lt;b&gt;\\*x\\*&lt;/b&gt;'
    """
    line = " ".join(printable(words).split())
    return _MARKS.sub(lambda mark: _ENTITIES.get(mark[0], f"\\{mark[0]}"), line)


def cost(lines: Sequence[dict[str, Any]], images: int, device: torch.device) -> str:
    """Returns what a training took until so many images, or "" where nothing was told yet.

    Args:
        lines: of ``metrics.jsonl``.
        images: seen by the model.
        device: that trains.
    """
    known = [line for line in lines if line["images"] <= images]
    try:
        seconds = float(training_seconds(known)[-1])
    except (IndexError, UserError):
        return ""
    if seconds <= 0:
        return ""
    speed = known[-1]["images"] / seconds
    return f"cost: {seconds:,.0f} seconds of training, {speed:,.1f} images/s, on {_words(device)}"


def _words(device: torch.device) -> str:
    """Returns what a device is, and how many of them train."""
    if device.type == "cuda":
        what = torch.cuda.get_device_name(device)
    elif device.type == "cpu":
        count = torch.get_num_threads()
        what = f"a CPU ({count} thread{'s' if count > 1 else ''})"
    else:
        what = device.type
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    processes = torch.distributed.get_world_size() if distributed else 1
    return what if processes == 1 else f"{processes} x {what}"


def score(lines: Sequence[dict[str, Any]], images: int) -> str:
    """Returns how near a snapshot's samples were to held-out pictures, or "" where that is unknown.

    Args:
        lines: of ``scores.jsonl``.
        images: seen by the model.
    """
    name = "kernel_distance_held_out"
    told = [line for line in lines if line["images"] <= images and line.get(name) is not None]
    own = [line for line in told if line["images"] == images]
    best = [line for line in told if line.get("best")]
    words = [f"{line[name]:.4g}" for line in own[-1:]]
    if best and best[-1]["images"] != images:
        words.append(f"{best[-1][name]:.4g} of the best, at {best[-1]['images']:,} images")
    if not words:
        return ""
    features = (own or best)[-1].get("features")
    return (
        f"score: {'; '.join(words)} (kernel distance of samples from held-out pictures, by "
        f"{features}; lower is nearer)"
    )
