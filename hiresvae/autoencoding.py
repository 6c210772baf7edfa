"""Settings of the autoencoder family: what the encoder sees, and what its code is charged for."""

from typing import Literal

from pydantic import Field

from hiresvae.section import Section


class CodeSettings(Section):
    """Penalties on the code, in nats a picture beside the KL; 0 is off."""

    l1: float = Field(
        0.0, ge=0.0, description="weight of the sum of the latents' sizes, which makes many small"
    )
    sparsity: float = Field(
        0.0, ge=0.0, description="weight of the KL to the target activity, summed over latents"
    )
    activity: float = Field(
        0.05, ge=0.001, le=0.999, description="that target: mean over a batch of a latent's sigmoid"
    )
    contraction: float = Field(
        0.0, ge=0.0, description="weight of the squared norm of the top code's Jacobian"
    )
    probes: int = Field(
        1, ge=1, description="random vectors that estimate it; a one-layer encoder needs none"
    )


class CorruptionSettings(Section):
    """What the encoder sees in place of the picture to be made. Absent: the picture itself."""

    kind: Literal["gaussian", "salt_and_pepper", "masking", "pairs"] = Field(
        "gaussian",
        description="noise on every pixel, black and white pixels, blank places, or a second "
        "source of corrupted pictures",
    )
    sigma: float = Field(0.2, ge=0.0, description="gaussian: deviation in units of [-1, 1]")
    share: float = Field(
        0.5, ge=0.0, le=1.0, description="salt_and_pepper, masking: share of the places changed"
    )
    blocks: int = Field(1, ge=1, description="masking: side of the blanked squares in pixels")
    inputs: str | None = Field(
        None,
        description="pairs: source of the corrupted pictures; data.source has those to be made, of "
        "equal names and sizes",
    )
