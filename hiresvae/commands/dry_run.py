"""``hiresvae train --dry-run``: what a training would be, without any picture being read."""

from torch import nn

from hiresvae.configuration import dump_settings
from hiresvae.data.catalogue import known_channels, known_classes, refuse_unknown
from hiresvae.labelling import parse_labels
from hiresvae.settings import Settings
from hiresvae.training.footprint import footprint
from hiresvae.training.trainer import build


def describe(settings: Settings) -> str:
    """Returns the resolved settings, a table of parameters, and estimates of memory and time.

    Small steps are run on this machine's processor, see `hiresvae.training.footprint`. Memory
    is that of the step's tensors at the worst moment; pictures kept on the device come on top.

    Raises:
        UserError: there is no such source of pictures.
    """
    refuse_unknown(settings.data.source)
    if settings.inputs is not None:
        refuse_unknown(settings.inputs, "corruption.inputs")
    chosen = settings.data.channels
    known = known_channels(settings.data.source) if chosen == "auto" else chosen
    channels = known or 3
    classes = _classes(settings) if settings.model.conditional else 0
    model, critic = build(settings, channels, classes)
    rows = [("encoder", model.encoder), ("decoder", model.decoder), ("critic", critic)]
    table = [f"{name:10s} {count(part):>12,}" for name, part in rows if part is not None]
    cost = footprint(settings, channels, classes)
    batch = settings.training.batch_size // settings.training.accumulation
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
            f"memory     {cost.memory(batch) / 2**20:,.0f} MiB estimated for {batch} pictures at a "
            f"time, {cost.fixed / 2**20:,.0f} of them for any number",
            f"speed      {1 / cost.seconds:,.1f} images/s estimated on this processor, "
            f"{settings.training.images * cost.seconds / 60:,.0f} minutes in all",
            f"schedule   {settings.training.images:,} images, {start}",
        ]
    )


def _classes(settings: Settings) -> int:
    labels = parse_labels(settings.data.labels)
    known = known_classes(settings.data.source) if labels.kind == "set" else None
    # How many folders or values of a table there are, only reading would tell.
    return labels.clusters or len(known or ()) or 2


def count(module: nn.Module) -> int:
    """Returns the number of parameters."""
    return sum(p.numel() for p in module.parameters())
