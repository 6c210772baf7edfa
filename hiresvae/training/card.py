"""The model card: what a model folder says of itself to whoever finds it."""

from hiresvae.data import PictureData
from hiresvae.generator import PictureModel

_CARD = """\
---
library_name: hiresvae
tags: [image-generation, vae{tags}]
---
# {name}

Makes pictures of {size} x {size} px ({colour}). Trained by hiresvae on `{source}`:
{train:,} pictures, {held:,} held out, {images:,} images seen.

- model: {kind}, {parameters:,} parameters, likelihood {likelihood}
- adversary: {adversary}
- prior: {prior}
- labels: {labels}
- seed: {seed}

```
hiresvae sample PATH_OF_THIS_FOLDER --n 16 --grid samples.png
```

The pictures that it was trained on have their own terms, which hold for what it makes as well.
"""


def model_card(used: PictureModel, data: PictureData) -> str:
    """Returns the card in Markdown."""
    settings = used.settings
    rungs = len(used.model.latent_shapes)
    taught = f", denoising ({settings.corruption.kind})" if settings.corruption else ""
    against: list[str] = [settings.adversary.loss] if settings.adversary else []
    against += ["introspective"] if settings.introspective else []
    return _CARD.format(
        name=settings.name,
        tags=", gan" if against else "",
        size=used.model.size,
        colour="colour" if used.model.channels == 3 else "grey",
        source=settings.data.source,
        train=len(data.train),
        held=len(data.held_out),
        images=used.images_seen,
        kind=f"{settings.model.backbone}, {rungs} rung{'s' if rungs > 1 else ''}{taught}",
        parameters=sum(p.numel() for p in used.model.parameters()),
        likelihood=settings.model.likelihood,
        adversary=" and ".join(against) or "none",
        prior=used.prior.kind,
        labels=", ".join(used.classes) if used.conditional else "none",
        seed=settings.seed,
    )
