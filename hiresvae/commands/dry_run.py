"""``hiresvae train --dry-run``: what a training would be, without any picture being read."""

import time

import torch
from torch import nn

from hiresvae.adversary.discriminator import Discriminator
from hiresvae.blocks.layers import channels_last
from hiresvae.configuration import dump_settings
from hiresvae.data.catalogue import known_channels
from hiresvae.labelling import parse_labels
from hiresvae.models.vae import VAE
from hiresvae.seeding import Noise, Shard
from hiresvae.settings import Settings

BATCH = 4
"""Pictures in the trial pass; enough to tell fixed cost from cost a picture."""


def describe(settings: Settings) -> str:
    """Returns the resolved settings, a table of parameters, and estimates of memory and time.

    One small forward and backward is run on this machine's processor; memory counts weights,
    gradients, both moments of Adam, the averaged weights and the activations that were kept.
    """
    chosen = settings.data.channels
    known = known_channels(settings.data.source) if chosen == "auto" else chosen
    channels = known or 3
    classes = 0
    if settings.model.conditional:
        classes = parse_labels(settings.data.labels).clusters or 2
    size = settings.data.size
    model = VAE(settings.model, size=size, channels=channels, classes=classes)
    channels_last(model)
    critic = None
    if settings.adversary is not None:
        critic = Discriminator(settings.adversary, size=size, channels=channels, classes=classes)
        channels_last(critic)
    rows = [("encoder", model.encoder), ("decoder", model.decoder), ("critic", critic)]
    table = [f"{name:10s} {count(part):>12,}" for name, part in rows if part is not None]
    kept, seconds = _trial(model, critic, settings)
    batch = settings.training.batch_size // settings.training.accumulation
    weights = 4 * (5 * count(model) + 4 * (count(critic) if critic else 0))
    memory = weights + kept * batch
    adversary = settings.adversary
    start = (
        f"adversary from image {int(adversary.start * settings.training.images):,} on"
        if adversary
        else "no adversary"
    )
    return "\n".join(
        [
            dump_settings(settings).rstrip(),
            "",
            "parameters" if known else "parameters, if a picture has colour",
            *table,
            f"memory     {memory / 2**20:,.0f} MiB estimated for {batch} pictures at a time",
            f"speed      {1 / seconds:,.1f} images/s estimated on this processor, "
            f"{settings.training.images * seconds / 60:,.0f} minutes in all",
            f"schedule   {settings.training.images:,} images, {start}",
        ]
    )


def count(module: nn.Module) -> int:
    """Returns the number of parameters."""
    return sum(p.numel() for p in module.parameters())


def _trial(model: VAE, critic: Discriminator | None, settings: Settings) -> tuple[float, float]:
    """Returns bytes of activations and seconds a picture of one training step."""
    images = torch.zeros(BATCH, model.channels, model.size, model.size)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(BATCH, dtype=torch.int64) if model.classes else None
    noise = Noise(0, 0, Shard(BATCH, 0, BATCH))
    seen: dict[int, int] = {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    seconds = 0.0
    for _ in range(2):  # the first one warms up
        seen.clear()
        begun = time.perf_counter()
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            outputs = model(images, labels, noise=noise.normal)
            loss = outputs.distortion.mean() + outputs.rate.sum(1).mean()
            factor = 1.0
            if critic is not None:
                judged = critic(torch.cat([images, outputs.reconstruction]), None)
                loss = loss + judged.logits.sum()
                factor = 1.35  # samples beside reconstructions, and a gradient to the pictures
        loss.backward()
        seconds = (time.perf_counter() - begun) * factor / BATCH
    return sum(seen.values()) / BATCH, seconds
