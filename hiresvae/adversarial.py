"""Settings of what judges a model's pictures: a critic, or the encoder itself."""

from typing import Literal

from pydantic import Field

from hiresvae.section import Section

GROUP = 4
"""Rows of a part of a batch whose spread a critic of the whole picture compares."""
PAIRED = ("reconstructions", "coarse")
"""The kinds of fakes that have an original in their row."""
PATCH_LEVEL = 2
"""Halvings above the finest side that a patch critic judges: a quarter of the side."""


class AdversarySettings(Section):
    """The discriminator and its losses. Absent: no adversary at all."""

    loss: Literal[
        "relativistic", "non_saturating", "minimax", "hinge", "least_squares", "mean_features"
    ] = Field(
        "relativistic",
        description="relativistic pairs each fake with a real; minimax: one cross-entropy for both "
        "(VAE/GAN); mean_features: the critic learns by cross-entropy, the model by matched "
        "features alone (CVAE-GAN)",
    )
    critic: Literal["whole", "patch", "multiscale"] = Field(
        "whole",
        description="whole: one verdict a picture; patch: one for every position at a "
        "quarter of the side, of the 22 + 28 * blocks pixels about it; multiscale: patches of "
        "every coarser side, and the whole",
    )
    weight: float = Field(
        4.0, ge=0.0, description="weight of the adversarial loss beside nats per dimension"
    )
    reaches: Literal["encoder", "decoder"] = Field(
        "encoder",
        description="how far back the gradient at reconstructions goes: through the decoder into "
        "the encoder, or, but for matched features of originals, to the decoder alone (VAE/GAN, "
        "CVAE-GAN)",
    )
    feature_matching: float = Field(
        16.0,
        ge=0.0,
        description="weight of the distance in the critic's features between a "
        "picture and its reconstruction",
    )
    feature_distance: Literal["l1", "squared"] = Field(
        "l1", description="that distance: absolute, or half the square (VAE/GAN)"
    )
    feature_layer: Literal["all", "last"] | int = Field(
        "all",
        description="features compared: of every side, of one such as 8, or what the last layer is "
        "given",
    )
    mean_matching: float = Field(
        0.0,
        ge=0.0,
        description="weight of half the squared distance between the means of real pictures and "
        "of samples in what the critic's last layer is given",
    )
    condition: Literal["projection", "classifier", "both", "none"] = Field(
        "projection",
        description="how a critic of labelled pictures uses the label: in its verdict, by a "
        "classifier beside it, both, or not",
    )
    classifier: float = Field(
        0.1, ge=0.0, description="weight, for the model, of the classifier's cross-entropy on fakes"
    )
    classifier_trunk: Literal["shared", "own"] = Field(
        "shared", description="whether the classifier reads the critic's features or has its own"
    )
    classifier_matching: float = Field(
        0.0, ge=0.0, description="as feature_matching, squared, in the classifier's last features"
    )
    class_mean_matching: float = Field(
        0.0, ge=0.0, description="as mean_matching, class by class, in the classifier's features"
    )
    lecam: float = Field(
        0.0, ge=0.0, description="weight of the LeCam penalty; depends on the scale of the logits"
    )
    average_images: int = Field(
        1_000, ge=1, description="half-life in images of the running means of lecam and matching"
    )
    spectral_norm: bool = Field(
        False, description="keep the largest singular value of the critic's weights at 1 or below"
    )
    gamma: float = Field(0.1, ge=0.0, description="weight of the gradient penalties R1 and R2")
    penalty_every: int = Field(8, ge=1, description="steps between penalties, scaled to match")
    start: float = Field(0.05, ge=0.0, description="share of training after which it begins")
    warmup: float = Field(
        0.0, ge=0.0, le=1.0, description="share over which the critic learns before it is felt"
    )
    ramp: float = Field(0.05, ge=0.0, le=1.0, description="share over which its weight rises")
    balance: Literal["fixed", "gradient_ratio"] = Field(
        "fixed",
        description="fixed: weight as it is; gradient_ratio: of the bound's gradient at the "
        "decoder's last layer",
    )
    balance_cap: float = Field(1_000.0, gt=0.0, description="largest ratio of gradients")
    balance_every: int = Field(8, ge=1, description="steps between measurements of the ratio")
    balance_images: int = Field(1_000, ge=1, description="half-life in images of the ratio")
    fakes: list[Literal["reconstructions", "coarse", "fitted", "standard"]] = Field(
        ["reconstructions", "fitted"],
        min_length=1,
        description="what the critic is shown beside real pictures: reconstructions; coarse: of a "
        "ladder those of the top rungs alone, the rest drawn; samples of the running fit; samples "
        "of N(0, I)",
    )
    coarse_distortion: float = Field(
        0.0,
        ge=0.0,
        description="weight of the pixels' likelihood given the top rungs alone, in the rows that "
        "are 'coarse' of fakes, beside the bound, from start on",
    )
    augment: list[Literal["color", "translation", "cutout", "mirror", "turns", "affine"]] = Field(
        ["translation"],
        description="differentiable augmentation of all that the critic sees; affine: any angle, "
        "and a zoom of 0.8 to 1.3",
    )
    augment_probability: Literal["adaptive"] | float = Field(
        1.0,
        description="share of rows that each kind changes (mirror, turns, affine: at most 0.8), 0 "
        "to 1; adaptive: from 0 up to 0.8 as the critic grows certain of training pictures, or "
        "takes held-out ones for made ones",
    )
    augment_images: int = Field(
        100_000, ge=1, description="images in which the adaptive probability could rise by 1"
    )
    width: int = Field(
        16, ge=4, le=4_096, description="channels at the finest side; doubles as it halves"
    )
    max_width: int = Field(192, ge=4, le=4_096, description="most channels at any side")
    blocks: int = Field(1, ge=1, le=16, description="residual blocks at each side")
    lr: float = Field(4e-4, gt=0, description="learning rate of the critic")
    betas: tuple[float, float] = Field((0.0, 0.99), description="moments of its Adam")


class IntrospectiveSettings(Section):
    """An adversary without a network of its own: the encoder is the critic. Absent: none."""

    weight: float = Field(1.0, ge=0.0, description="weight of both sides beside nats per dimension")
    beta_neg: float = Field(
        8.0,
        gt=0.0,
        description="weight of the KL of made pictures in the encoder's exponent; the "
        "published 256 goes with model.scale 1.41",
    )
    beta_rec: float = Field(
        1.0, ge=0.0, description="weight of the error of made pictures in the encoder's exponent"
    )
    relative: bool = Field(
        False, description="measure that exponent from the row's real picture instead of from 0"
    )
    fakes: Literal["standard", "fitted"] = Field(
        "standard", description="samples beside reconstructions: of N(0, I) or of the running fit"
    )
    start: float = Field(0.05, ge=0.0, description="share of training after which it begins")
    ramp: float = Field(0.05, ge=0.0, le=1.0, description="share over which its weight rises")
