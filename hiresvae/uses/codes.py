"""Pictures as a person points at them, and the codes that are moved about: latents and labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from hiresvae.batching import in_batches
from hiresvae.data.reading import Read, read_pictures, reason
from hiresvae.errors import UserError
from hiresvae.generator import PictureModel, PriorName
from hiresvae.images import to_uint8
from hiresvae.models.contract import NormalNoise
from hiresvae.models.decoder import Grain
from hiresvae.models.draws import FromPosterior, Relative, Temperature, check_temperature
from hiresvae.seeding import picture_noise

SAMPLE = "sample:"
BATCH = 64


@dataclass(frozen=True)
class Codes:
    """What pictures are made of.

    Attributes:
        latents: of each rung, top first, ``(N, D, h, w)``: on top the latent itself, below in units
            of the rung's prior, so that fine detail follows what is changed above it.
        labels: how much of each label ``(N, K)``; None for a model without.
        grain: noise of the texture by its stream, ``(N, 1, side, side)`` each; empty: that of a
            picture that was not drawn, the same for all.
    """

    latents: list[Tensor]
    labels: Tensor | None = None
    grain: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.latents[0])

    def __getitem__(self, rows: slice | Tensor | list[int]) -> "Codes":
        labels = None if self.labels is None else self.labels[rows]
        grain = {name: noise[rows] for name, noise in self.grain.items()}
        return Codes([z[rows] for z in self.latents], labels, grain)

    @staticmethod
    def joined(parts: Sequence["Codes"]) -> "Codes":
        """Returns the codes of several batches as one."""
        latents = [torch.cat(zs) for zs in zip(*(part.latents for part in parts), strict=True)]
        labels = [part.labels for part in parts if part.labels is not None]
        grain = {name: torch.cat([part.grain[name] for part in parts]) for name in parts[0].grain}
        return Codes(latents, torch.cat(labels) if labels else None, grain)

    def vector(self, rungs: int = 1) -> Tensor:
        """Returns the latents of the first rungs as one vector a picture, ``(N, D)``."""
        return torch.cat([z.flatten(1) for z in self.latents[:rungs]], 1)

    def moved(self, by: Tensor) -> "Codes":
        """Returns the codes with a vector added to the latents of the first rungs, as `vector`.

        Args:
            by: ``(D,)`` or ``(N, D)``, of as many rungs as have so many numbers together.
        """
        moved, start = [], 0
        for z in self.latents:
            stop = start + z[0].numel()
            fits = stop <= by.shape[-1]
            moved.append(z + by[..., start:stop].unflatten(-1, z.shape[1:]) if fits else z)
            start = stop
        return replace(self, latents=moved)

    def under(self, labels: Tensor, means: Tensor) -> "Codes":
        """Returns the codes under other labels, at the same place among those of each label.

        What a label has in common is then exchanged too where the encoder put it into the latents.

        Args:
            labels: how much of each label ``(N, K)``.
            means: of the latents of each label, from `label_means`.
        """
        if self.labels is None:
            return self
        return replace(self.moved((labels - self.labels) @ means), labels=labels)


def label_means(painter: PictureModel) -> Tensor:
    """Returns where the top rungs' latents of each label lie ``(K, D)``; 0 if none is known."""
    if painter.prior is not None and painter.prior.kind == "classes":
        return painter.prior.means.float().to(painter.device)
    return torch.zeros(painter.model.classes, painter.model.top_dim, device=painter.device)


@torch.inference_mode()
def encode(painter: PictureModel, pictures: Tensor, labels: Tensor | None = None) -> Codes:
    """Returns the codes of pictures: the posterior's means.

    Args:
        painter: the model.
        pictures: uint8 ``(N, C, S, S)``.
        labels: int64 ``(N,)``; a conditional model that is given none takes those under which it
            reconstructs best.
    """
    model = painter.model

    def encoded(rows: slice) -> Codes:
        part, chosen = pictures[rows], None
        if painter.conditional:
            given = labels[rows].to(painter.device) if labels is not None else None
            chosen = painter.guess_labels(part) if given is None else given
        features = model.features(painter.check(part), chosen)
        walk = model.walk(FromPosterior(features, None), chosen, len(part))
        latents = [drawn.relative() for drawn in walk.drawn]
        weights = None if chosen is None else one_hot(chosen, model.classes).float()
        return Codes(latents, weights, _still(painter, len(part)))

    return Codes.joined(
        list(
            in_batches(
                slice(0, len(pictures)), painter.at_once(BATCH), encoded, painter.less_memory
            )
        )
    )


@torch.inference_mode()
def drawn(
    painter: PictureModel,
    seed: int,
    *,
    prior: PriorName = "fitted",
    temperature: Temperature = 1.0,
    label: str | None = None,
) -> Codes:
    """Returns the code of picture 0 that `PictureModel.sample` draws with this seed.

    All streams of noise are those of sampling, the grain's too, so it is that very picture.
    """
    check_temperature(temperature, len(painter.model.latent_shapes))
    labels = painter.drawn_labels([0], seed=seed, label=label)
    top = painter.latents([0], seed=seed, prior=prior, temperature=temperature, labels=labels)
    noise = picture_noise(seed, [0], painter.device)
    spread = painter.model.temperatures(temperature)
    lower = [
        spread[number] * noise(f"prior {number}", *shape)
        for number, shape in enumerate(painter.model.latent_shapes)
        if number >= len(top)
    ]
    weights = None if labels is None else one_hot(labels, painter.model.classes).float()
    return Codes([*top, *lower], weights, drawn_grain(painter, noise))


def drawn_grain(painter: PictureModel, noise: NormalNoise, words: str = "") -> dict[str, Tensor]:
    """Returns the grain of drawn pictures, ``(n, 1, side, side)`` by stream.

    Args:
        painter: of the pictures; without grain there is none.
        noise: standard normal numbers of the pictures.
        words: before the names of the streams that are asked of it.
    """
    still = _still(painter, 1)
    return {name: noise(words + name, *layer.shape[1:]) for name, layer in still.items()}


def _still(painter: PictureModel, count: int) -> dict[str, Tensor]:
    """Returns the grain of pictures that were not drawn, ``(count, 1, side, side)`` by stream."""
    layers = [layer for layer in painter.model.decoder.modules() if isinstance(layer, Grain)]
    # By the names under which these layers ask for their noise.
    return {f"grain {layer.shape[1]}": layer.still.expand(count, *layer.shape) for layer in layers}


def _handing_out(grain: Mapping[str, Tensor]) -> NormalNoise | None:
    """Returns noise that is given by stream; None lets the model take its own."""
    return (lambda stream, *_: grain[stream]) if grain else None


@torch.inference_mode()
def decode(painter: PictureModel, codes: Codes) -> Tensor:
    """Returns the pictures of codes, uint8 ``(N, C, S, S)`` on the CPU."""
    model = painter.model

    def decoded(rows: slice) -> Tensor:
        part = codes[rows]
        grain = _handing_out(part.grain)
        walk = model.walk(Relative(part.latents), part.labels, len(part), grain)
        return to_uint8(model.likelihood(walk.head).mean).cpu()

    parts = in_batches(slice(0, len(codes)), painter.at_once(BATCH), decoded, painter.less_memory)
    return torch.cat(list(parts)).contiguous()


@dataclass(frozen=True)
class Inputs:
    """The pictures that a command is about.

    Attributes:
        names: of the pictures.
        pictures: uint8 ``(N, C, S, S)``; of a sample what the model draws.
        codes: their codes.
        real: which of them were read from files.
        skipped: name and reason of what could not be read.
    """

    names: list[str]
    pictures: Tensor
    codes: Codes
    real: list[bool]
    skipped: list[tuple[str, str]]

    def closed(self) -> "Inputs":
        """Returns the pictures with the first once more at the end."""
        return Inputs(
            [*self.names, self.names[0]],
            torch.cat([self.pictures, self.pictures[:1]]),
            Codes.joined([self.codes, self.codes[:1]]),
            [*self.real, self.real[0]],
            self.skipped,
        )


def gather(
    painter: PictureModel,
    specs: Sequence[str],
    *,
    temperature: Temperature = 1.0,
    each: bool = False,
) -> Inputs:
    """Returns the pictures that are meant and their codes.

    Args:
        painter: the model.
        specs: files, folders and archives of pictures, or ``sample:SEED``.
        temperature: of samples.
        each: whether each of them must give a picture, or one of all is enough.

    Raises:
        UserError: a path or a seed is wrong, or there is no picture.
    """
    names: list[str] = []
    real: list[bool] = []
    pictures, codes, skipped = [], [], []
    for spec in specs:
        if spec.startswith(SAMPLE):
            number = spec.removeprefix(SAMPLE)
            if not number.isdecimal():
                raise UserError(f"{spec!r}: the seed must be a whole number, such as sample:7")
            code = drawn(painter, int(number), temperature=temperature)
            names.append(f"sample_{number}.png")
            real.append(False)
            pictures.append(decode(painter, code))
            codes.append(code)
            continue
        found = read(painter, Path(spec))
        skipped += found.skipped
        if each and not found.names:
            raise UserError(f"no picture in {spec}{reason(found.skipped)}")
        if found.names:
            names += found.names
            real += [True] * len(found.names)
            pictures.append(found.pictures)
            codes.append(encode(painter, found.pictures))
    if not names:
        raise UserError(f"no pictures in {', '.join(specs)}{reason(skipped)}")
    return Inputs(names, torch.cat(pictures), Codes.joined(codes), real, skipped)


def read(painter: PictureModel, path: Path) -> Read:
    """Returns the pictures of a file, folder or archive as the model takes them."""
    data = painter.settings.data
    return read_pictures(
        path,
        size=painter.model.size,
        channels=painter.model.channels,  # type: ignore[arg-type]
        crop=data.crop,
        pad=data.pad,
    )
