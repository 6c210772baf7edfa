"""A trained model as a person uses it: sample, encode, decode, reconstruct, save and load.

A model folder holds ``model.safetensors`` (averaged weights), ``config.json`` (settings and
shapes), ``prior.safetensors`` and ``labels.json``; nothing in it can run code.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args

import torch
from safetensors.torch import save_file
from torch import Tensor

from hiresvae import hub
from hiresvae.batching import at_once, in_batches
from hiresvae.devices import choose_device
from hiresvae.errors import UserError, nearest
from hiresvae.images import binarized, to_float, to_uint8
from hiresvae.model_files import intact, read_model
from hiresvae.model_folder import FILES, Words, find_folder, write_words
from hiresvae.models.contract import NormalNoise, Walk
from hiresvae.models.draws import (
    FromPosterior,
    FromPrior,
    Given,
    Temperature,
    check_latents,
    check_temperature,
    temperature_at,
)
from hiresvae.models.vae import VAE
from hiresvae.priors import Density
from hiresvae.seeding import generator, picture_noise
from hiresvae.settings import Settings

PriorName = Literal["fitted", "standard"]
Which = Literal["best", "last"]
T = TypeVar("T")
BATCH = 32


@dataclass
class PictureModel:
    """A model with its prior and the names of its labels.

    Attributes:
        model: the network, in evaluation mode.
        prior: density of the top rungs' latents.
        classes: names of the labels, () without.
        shares: how frequent each label was in training.
        settings: of the run that trained it.
        images_seen: pictures seen in training.
        card: the model card, Markdown.
    """

    model: VAE
    prior: Density
    classes: tuple[str, ...]
    shares: tuple[float, ...]
    settings: Settings
    images_seen: int = 0
    card: str = ""

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.model.last_layer.device

    @property
    def conditional(self) -> bool:
        """Whether pictures are drawn for a label."""
        return self.model.classes > 0

    def label(self, name: str) -> int:
        """Returns the number of a label's name.

        Raises:
            UserError: the model has no labels, or none of that name.
        """
        if not self.conditional:
            raise UserError(f"label {name!r}: this model was trained without labels")
        if name not in self.classes:
            raise UserError(f"label {name!r} is not known; {nearest(name, self.classes)}")
        return self.classes.index(name)

    def drawn_labels(
        self, numbers: list[int], *, seed: int = 0, label: str | None = None
    ) -> Tensor | None:
        """Returns the labels ``(n,)`` that `sample` draws for these numbers, or None."""
        if label is not None:
            return torch.full((len(numbers),), self.label(label), device=self.device)
        if not self.conditional:
            return None
        edges = torch.tensor(self.shares, dtype=torch.float64).cumsum(0)
        picks = [
            torch.rand((), generator=generator(seed, "label", i), dtype=torch.float64)
            for i in numbers
        ]
        chosen = torch.searchsorted(edges, torch.stack(picks), right=True)
        return chosen.clamp_max(len(edges) - 1).to(self.device)

    @torch.inference_mode()
    def latents(
        self,
        numbers: list[int],
        *,
        seed: int = 0,
        prior: PriorName = "fitted",
        temperature: Temperature = 1.0,
        truncation: float = 1.0,
        labels: Tensor | None = None,
    ) -> list[Tensor]:
        """Returns latents of the top rungs for the pictures of these numbers, as for `FromPrior`.

        Each ``(N, D, h, w)``, in units of its rung's prior; as many as the fitted prior describes.

        Truncation psi then moves them towards the prior's mean, ``m + psi (z - m)`` (Karras et al.
        2019, arXiv 1812.04948, appendix B). A temperature narrows each component of a mixture
        about its own mean; this moves the components, and those rungs alone.

        Raises:
            UserError: there is no such prior, or truncation is not from 0 to 1.
        """
        if not 0 <= truncation <= 1:
            raise UserError(f"truncation {truncation} must be from 0 to 1")
        if prior not in (known := get_args(PriorName)):
            raise UserError(f"prior {prior!r} is not known; {nearest(prior, known)}")
        shapes, given = self.model.top_shapes, picture_noise(seed, numbers, self.device)
        noise = [
            temperature_at(temperature, number) * given(f"prior {number}", *shape)
            for number, shape in enumerate(shapes)
        ]
        if prior == "standard":
            return [truncation * z for z in noise]
        choice = torch.stack(
            [torch.rand((), generator=generator(seed, "component", i)) for i in numbers]
        )
        vector = torch.cat([z.flatten(1) for z in noise], 1)
        flat = self.prior.sample(vector, choice, labels)
        if truncation != 1:
            center = self.prior.center(len(numbers), labels).to(flat.device)
            flat = torch.lerp(center, flat, truncation)
        return self.model.top_parts(flat)

    @torch.inference_mode()
    def sample_batches(
        self,
        count: int,
        *,
        seed: int = 0,
        prior: PriorName = "fitted",
        temperature: Temperature = 1.0,
        truncation: float = 1.0,
        label: str | None = None,
        batch_size: int | None = None,
        start: int = 0,
    ) -> Iterator[Tensor]:
        """Yields new pictures in batches, uint8 ``(n, C, H, W)`` on the CPU; see `sample`."""
        check_temperature(temperature, len(self.model.latent_shapes))

        def drawn(rows: slice) -> Tensor:
            numbers = list(range(rows.start, rows.stop))
            labels = self.drawn_labels(numbers, seed=seed, label=label)
            top = self.latents(
                numbers, seed=seed, prior=prior, temperature=temperature, truncation=truncation,
                labels=labels,
            )  # fmt: skip
            noise = picture_noise(seed, numbers, self.device)
            draw = FromPrior(noise, self.model.temperatures(temperature), top)
            walk = self.model.walk(draw, labels, len(numbers), noise)
            return self._shown(walk)

        if count > 0:
            size = batch_size or self.at_once()
            yield from in_batches(slice(start, start + count), size, drawn, self.less_memory)

    def at_once(self, most: int = BATCH) -> int:
        """Returns how many pictures to work off at a time; see `hiresvae.batching.at_once`."""
        return at_once(self.model.size, self.device.type, most)

    @property
    def less_memory(self) -> str:
        """What needs less memory than a single picture of this model, in words."""
        smaller = f"a model that was trained at a smaller data.size than {self.model.size}"
        return smaller if self.device.type == "cpu" else f"--device cpu, or {smaller}"

    def sample(self, count: int, **chosen: Any) -> Tensor:
        """Returns new pictures, uint8 ``(count, C, H, W)``.

        Picture i depends on (seed, i) only, but for the rounding of sums in another batch size.

        Args:
            count: how many.
            **chosen: seed, prior ("fitted" or "standard"), temperature (scales the spread of all
                rungs, or of each from the top; below 1 safer, above 1 wilder; fine rungs times the
                model's ``fine_temperature``), truncation (share of the way from the prior's mean, 0
                to 1; see `latents`), label (a name), batch_size (at most), start (number of the
                first picture).
        """
        if count < 1:
            raise UserError(f"number of samples {count}: at least 1 is needed")
        return torch.cat(list(self.sample_batches(count, **chosen)))

    def check(self, pictures: Tensor) -> Tensor:
        """Returns uint8 pictures as float images on the device, or says what does not fit."""
        wanted = (self.model.channels, self.model.size, self.model.size)
        if tuple(pictures.shape[1:]) != wanted:
            raise UserError(
                f"pictures of shape {tuple(pictures.shape[1:])} do not fit; "
                f"this model takes {wanted} (channels, height, width)"
            )
        return to_float(pictures.to(self.device))

    def observed(self, pictures: Tensor, noise: NormalNoise) -> Tensor:
        """Returns uint8 pictures as the likelihood takes them: as they are, or black and white.

        With ``data.binarize`` a grey is the chance of white, and ``noise`` decides.
        """
        images = self.check(pictures)
        if not self.settings.data.binarize:
            return images
        return binarized(images, torch.special.ndtr(noise("binarize", *images.shape[1:])))

    def _chosen(self, labels: Tensor | None, pictures: Tensor) -> Tensor | None:
        """Returns labels ``(N,)`` on the device; those not given are guessed from the pictures."""
        if not self.conditional:
            return None
        if labels is None:
            return self.guess_labels(pictures)
        return self._placed(labels, len(pictures))

    def _placed(self, labels: Tensor, count: int) -> Tensor:
        """Returns labels of so many pictures on the device, or says what does not fit."""
        if labels.shape != (count,) or labels.is_floating_point():
            raise UserError(
                f"labels {labels.dtype} of shape {tuple(labels.shape)} do not fit; {count} "
                f"pictures need int64 of shape ({count},)"
            )
        if count and not 0 <= int(labels.min()) <= int(labels.max()) < self.model.classes:
            raise UserError(
                f"labels {int(labels.min())} to {int(labels.max())} do not fit; this model has 0 "
                f"to {self.model.classes - 1}"
            )
        return labels.to(self.device)

    @torch.inference_mode()
    def encode(self, pictures: Tensor, labels: Tensor | None = None) -> list[Tensor]:
        """Returns the posterior means of all rungs, top first, each ``(N, D, h, w)``.

        Args:
            pictures: uint8 ``(N, C, H, W)``.
            labels: int64 ``(N,)``; a conditional model that is given none takes for each picture
                the one of `guess_labels`.
        """
        parts = self._of_batches(pictures, labels, self._encoded)
        return [torch.cat(latents) for latents in zip(*parts, strict=True)]

    def _of_batches(
        self,
        pictures: Tensor,
        labels: Tensor | None,
        work: Callable[..., T],
        size: int | None = None,
    ) -> Iterator[T]:
        """Yields what ``work`` makes of pictures and of their labels, given or guessed."""
        if labels is not None and self.conditional:
            self._placed(labels, len(pictures))  # what does not fit is refused as a whole

        def of(rows: slice) -> T:
            part = pictures[rows]
            return work(part, self._chosen(None if labels is None else labels[rows], part))

        return in_batches(slice(0, len(pictures)), size or self.at_once(), of, self.less_memory)

    def _encoded(self, pictures: Tensor, chosen: Tensor | None) -> list[Tensor]:
        features = self.model.features(self.check(pictures), chosen)
        walk = self.model.walk(FromPosterior(features, None), chosen, len(pictures))
        return [drawn.z for drawn in walk.drawn]

    @torch.inference_mode()
    def decode(self, latents: list[Tensor], labels: Tensor | None = None) -> Tensor:
        """Returns pictures, uint8 ``(N, C, H, W)``; rungs without latents take the prior's mean.

        Args:
            latents: of the rungs, top first, each ``(N, D, h, w)``; at least of the first.
            labels: int64 ``(N,)``; a conditional model needs them.

        Raises:
            UserError: the latents are of other shapes, or the model is conditional and there are
                no labels, or they do not fit.
        """
        check_latents(latents, self.model.latent_shapes)
        count = len(latents[0])
        chosen = None
        if self.conditional:
            if labels is None:
                raise UserError(
                    "this model was trained with labels, so latents alone are no picture: give "
                    "decode labels as well, such as those of guess_labels(pictures)"
                )
            chosen = self._placed(labels, count)
        draw = Given([z.to(self.device) for z in latents], FromPrior(None))
        return self._shown(self.model.walk(draw, chosen, count))

    def _shown(self, walk: Walk) -> Tensor:
        return to_uint8(self.model.likelihood(walk.head).mean).cpu().contiguous()

    @torch.inference_mode()
    def reconstruct_batches(
        self, pictures: Tensor, labels: Tensor | None = None, batch_size: int | None = None
    ) -> Iterator[Tensor]:
        """Yields what the model makes of pictures in batches; see `reconstruct`."""
        yield from self._of_batches(pictures, labels, self._remade, batch_size)

    def _remade(self, pictures: Tensor, chosen: Tensor | None) -> Tensor:
        return self.decode(self._encoded(pictures, chosen), chosen)

    def reconstruct(
        self, pictures: Tensor, labels: Tensor | None = None, batch_size: int | None = None
    ) -> Tensor:
        """Returns what the model makes of pictures, uint8 ``(N, C, H, W)``, without noise.

        A conditional model that is given no labels takes for each picture the label under which it
        is reconstructed best.
        """
        return torch.cat(list(self.reconstruct_batches(pictures, labels, batch_size)))

    @torch.inference_mode()
    def guess_labels(self, pictures: Tensor) -> Tensor:
        """Returns for each picture the label ``(N,)`` with the smallest error of reconstruction.

        Raises:
            UserError: the model has no labels, or the pictures do not fit.
        """
        if not self.conditional:
            raise UserError("this model was trained without labels, so there are none to guess")
        images = self.check(pictures)
        errors = []
        for k in range(self.model.classes):
            labels = torch.full((len(pictures),), k, device=self.device)
            draw = FromPosterior(self.model.features(images, labels), None)
            walk = self.model.walk(draw, labels, len(pictures))
            errors.append(self.model.likelihood(walk.head).error(images))
        return torch.stack(errors, 1).argmin(1)

    @torch.inference_mode()
    def elbo(self, pictures: Tensor, labels: Tensor | None = None, seed: int = 0) -> Tensor:
        """Returns the evidence lower bound in nats ``(N,)``, one draw of the posterior each."""
        chosen = self._chosen(labels, pictures)
        noise = picture_noise(seed, list(range(len(pictures))), self.device)
        outputs = self.model(self.observed(pictures, noise), chosen, noise=noise)
        return -(outputs.distortion + outputs.rate.sum(1))

    def data(self) -> Any:
        """Returns the `PictureData` that the model was trained on, from its settings."""
        from hiresvae.data import open_data

        return open_data(self.settings.data, inputs=self.settings.inputs)

    def save(self, folder: Path) -> None:
        """Writes the model folder's files; the caller sees to it that it appears whole."""
        weights = {k: v.detach().cpu().contiguous() for k, v in self.model.state_dict().items()}
        save_file(weights, folder / "model.safetensors")
        prior = {k: v.contiguous() for k, v in self.prior.tensors().items()}
        save_file(prior, folder / "prior.safetensors")
        words = Words(
            self.settings, self.model.size, self.model.channels, self.images_seen,
            self.classes, self.shares, self.card,
        )  # fmt: skip
        write_words(folder, words)

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, revision: str | None = None, device: str | None = None
    ) -> Self:
        """Returns a model from a folder, or from the Hub by its ``org/name``.

        A folder goes before a repository of the same name.
        """
        repo = str(name).removeprefix(hub.PREFIX)
        if not os.path.exists(name) and repo.count("/") == 1:
            name = hub.download(repo, FILES, revision=revision)
        found = load(name, device=device)
        return cls(**vars(found))

    def push_to_hub(self, repo: str, *, private: bool = False, token: str | None = None) -> str:
        """Puts the model with its card on the Hub as ``org/name`` and returns its address."""
        with tempfile.TemporaryDirectory() as folder:
            self.save(Path(folder))
            if not self.card:
                head = "---\nlibrary_name: hiresvae\ntags: [image-generation, vae]\n---\n"
                text = f"{head}# {self.settings.name}\n\nMade by hiresvae.\n"
                (Path(folder) / "README.md").write_text(text, encoding="utf-8")
            return hub.upload(Path(folder), repo, private=private, token=token)


def load(name: str | Path, *, device: str | None = None, which: Which = "last") -> PictureModel:
    """Returns a trained model.

    Args:
        name: a run folder, a model folder, or ``hf:org/name`` on the Hub.
        device: such as "cuda" or "cpu"; None: a CUDA GPU if there is one, else the CPU.
        which: of a run folder the "last" model, or the "best" by held-out pictures.

    Raises:
        UserError: there is no such model or device, or the model's files are broken.

    Example:
        >>> load("no/such/folder")  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        hiresvae.errors.UserError: model 'no/such/folder' does not exist
    """
    folder = find_folder(str(name), which)
    place = choose_device(device)
    with intact(folder):
        words, model, prior = read_model(folder)
    model.to(place).eval().requires_grad_(False).in_fast_order()
    return PictureModel(
        model, prior, words.classes, words.shares, words.settings, words.images_seen, words.card
    )
