"""Typed settings: what a configuration may say, what each key means, and the words for mistakes.

A configuration is one YAML file. Nothing in it can import or run anything. Lengths of training and
all schedules count images, never steps, so that batch size and process count can change freely.
"""

from typing import Literal

from pydantic import Field

from hiresvae.adversarial import AdversarySettings, IntrospectiveSettings
from hiresvae.autoencoding import CodeSettings, CorruptionSettings
from hiresvae.section import Section


class DataSettings(Section):
    """Which pictures, at which size, with which labels."""

    source: str = Field(
        "embedded:paintings",
        description="folder, zip or tar; several with '+'; embedded:paintings, embedded:faces; "
        "monet, lfw, celeba, mnist, fashion_mnist, cifar10, textures, documents (documents:clean, "
        "documents:noisy); hf:ORG/NAME; shards:PATTERN",
    )
    size: int = Field(64, ge=8, le=2048, description="side of the square pictures in pixels")
    channels: Literal["auto", 1, 3] = Field(
        "auto", description="1 grey, 3 colour; auto: grey if every picture is grey"
    )
    labels: str = Field(
        "none", description="none, folders, csv:FILE:COLUMN, set (the set's own), clusters:K"
    )
    without: list[str] = Field(
        [], description="labels whose pictures are left out of training and hold-out"
    )
    crop: Literal["center", "random", "none", "tiles"] = Field(
        "center",
        description="how a picture becomes square; none: scaled whole and padded; tiles: windows "
        "anywhere in it at its own scale, for pages and other large pictures",
    )
    pad: Literal["white", "black", "edge"] = Field("edge", description="what fills the padding")
    mirror: bool = Field(False, description="flip half of the training pictures left to right")
    binarize: bool = Field(
        False, description="black or white by chance, anew each time; a grey is the chance of white"
    )
    limit: int | None = Field(
        None, ge=1, description="at most so many pictures; embedded sets draw 4096 unless told"
    )
    held_out: float = Field(
        0.1, ge=0.0, le=0.9, description="share kept out of training, by hash of the content"
    )
    cache: str | None = Field(
        None, description="folder of decoded stores; none: the user's cache folder"
    )
    device_cache: Literal["auto", True, False] = Field(
        "auto", description="keep all pictures on the device; auto: on a GPU where they fit"
    )


class ModelSettings(Section):
    """The encoder, the top-down walk and the likelihood. One rung is a plain VAE."""

    backbone: Literal["pyramid", "dense", "classic"] = Field(
        "pyramid",
        description="pyramid: residual ladder; dense: layers of 'hidden'; classic: "
        "three convolutions flattened and a deconvolution decoder",
    )
    pyramid: str = Field(
        "auto",
        description="top-down 'SIDExRUNGS' from coarse to fine, such as '1x1 4x2 8x2 16'; a last "
        "'...' is all finer sides without rungs; auto: one vector rung at the top",
    )
    latent_dim: int = Field(128, ge=1, le=65_536, description="numbers in the vector rung on top")
    rung_dim: int = Field(8, ge=1, le=1_024, description="latent channels of each spatial rung")
    merge: Literal["residual", "precision"] = Field(
        "residual",
        description="how a lower rung's posterior joins prior and picture: told relative to the "
        "prior (NVAE), or weighted by precision (LVAE)",
    )
    width: int = Field(
        16, ge=4, le=4_096, description="channels at the finest side; doubles as it halves"
    )
    max_width: int = Field(192, ge=4, le=4_096, description="most channels at any side")
    blocks: int = Field(1, ge=1, le=16, description="residual blocks at each side")
    attention: list[int] = Field([], description="sides with self-attention, such as [16]")
    hidden: list[int] = Field([420, 210, 105], description="layer sizes of the dense backbone")
    linear: bool = Field(
        False, description="the dense backbone without activations: its code spans that of PCA"
    )
    grain: bool = Field(
        False,
        description="noise at every side of the decoder, for texture that latents need not "
        "carry; for models with an adversary",
    )
    conditional: bool = Field(False, description="encoder and decoder also see the label")
    stochastic: bool = Field(True, description="false: no noise and no KL, a plain autoencoder")
    likelihood: Literal["gaussian", "laplace", "logistic_mixture", "bernoulli"] = Field(
        "gaussian", description="distribution of a picture given its latents"
    )
    scale: Literal["optimal", "learned"] | float = Field(
        "optimal",
        description="noise scale of gaussian and laplace in units of [-1, 1]: "
        "optimal (running mean error), learned, or a number",
    )
    mixtures: int = Field(5, ge=1, le=20, description="components of logistic_mixture")
    beta: float = Field(1.0, ge=0.0, description="weight of the KL")
    distortion_weight: float = Field(
        1.0,
        ge=0.0,
        description="weight of the pixels' likelihood in what is minimised, not in what is told; "
        "0: other terms alone compare reconstructions, such as the critic's features (VAE/GAN)",
    )
    top_rungs: int = Field(
        1,
        ge=1,
        description="rungs, from the top, that the fitted prior describes together: of a ladder "
        "with an adversary, those that say what is where",
    )
    fine_temperature: float = Field(
        1.0,
        ge=0.0,
        description="spread of the rungs below those in samples, of training too, as a share of "
        "their priors' and of any temperature; 0: the most likely, whatever the temperature, so "
        "that they serve reconstructions alone",
    )
    kl_warmup: float = Field(
        0.1, ge=0.0, le=1.0, description="share of training over which beta rises from 0"
    )
    free_nats: float = Field(0.0, ge=0.0, description="nats per rung that are not penalised")
    kl_balance: bool = Field(
        False,
        description="while beta rises, rungs with much KL for their size pay more, others less "
        "(NVAE), so that none falls silent",
    )
    spectral: float = Field(
        0.0,
        ge=0.0,
        description="weight of the sum of all layers' largest singular values beside nats a "
        "picture; 0.01 to 0.1 where a deep ladder is not steady",
    )


class PriorSettings(Section):
    """The density fitted to the aggregate posterior of the top rungs, from which samples come."""

    kind: Literal["auto", "gaussian", "mixture", "running", "standard"] = Field(
        "auto",
        description="running: the fit that training kept; auto: gaussian or mixture by held-out "
        "likelihood, or running where a critic was shown samples of that and its samples lie "
        "nearer to held-out pictures",
    )
    components: int = Field(10, ge=1, le=100, description="most components of the mixture")
    decay_images: int = Field(
        3_000, ge=1, description="half-life in images of the running fit that the critic sees"
    )


class TermSettings(Section):
    """Distances of reconstructions to their pictures, added to nats per dimension; 0 is off."""

    lpips: float = Field(
        0.0,
        ge=0.0,
        description="weight of LPIPS; its network's weights are looked up or downloaded",
    )
    lpips_net: Literal["alex", "vgg", "squeeze"] = Field(
        "squeeze",
        description="network of LPIPS: squeeze is the smallest, vgg the usual to train by",
    )
    features: str | None = Field(
        None,
        description="TorchScript file of a network whose features are compared; it takes float "
        "(N, 3, H, W) in [0, 255]",
    )
    features_weight: float = Field(1.0, ge=0.0, description="weight of that distance")
    features_distance: Literal["l1", "l2"] = Field(
        "l1", description="mean absolute or mean squared difference of these features"
    )
    focal_frequency: float = Field(0.0, ge=0.0, description="weight of the focal frequency loss")
    focal_alpha: float = Field(
        1.0, ge=0.0, description="how much more a frequency counts that is far off"
    )
    laplacian: float = Field(0.0, ge=0.0, description="weight of the Laplacian pyramid's L1")
    laplacian_levels: int = Field(
        4, ge=1, le=10, description="its levels, as many as the side allows"
    )


class TrainingSettings(Section):
    """How long and how."""

    images: int = Field(200_000, ge=1, description="pictures seen in all")
    batch_size: int = Field(
        32, ge=1, le=65_536, description="pictures in an optimiser step, all processes"
    )
    accumulation: int = Field(
        1,
        ge=1,
        description="parts in which a batch is worked off; a critic that sees the whole picture "
        "compares 4 rows of a part: with rows per process and part not a multiple of 4 it is "
        "another one",
    )
    lr: float = Field(4e-4, gt=0, description="learning rate of the model")
    betas: tuple[float, float] = Field((0.0, 0.99), description="moments of its Adam")
    weight_decay: float = Field(0.0, ge=0.0, description="decoupled weight decay")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "linear", description="how the rate falls over the last part of training"
    )
    decay_from: float = Field(0.7, ge=0, le=1, description="share after which the rate falls")
    lr_warmup: int = Field(2_000, ge=0, description="images over which the rate rises from 0")
    clip: float | None = Field(None, gt=0, description="largest norm of the model's gradient")
    skip_above: float | None = Field(
        20.0,
        gt=1,
        description="a step whose gradient's norm exceeds so many running medians is skipped; "
        "none: only what is not finite",
    )
    patience: int = Field(
        20, ge=1, description="skipped steps in a row after which the last good checkpoint is "
        "restored and the rate halved"
    )  # fmt: skip
    restores: int = Field(3, ge=0, description="restores before a diverging training ends")
    ema_images: int = Field(10_000, ge=0, description="half-life in images of the averaged weights")
    precision: Literal["no", "bf16", "fp16"] = Field("no", description="mixed precision")
    gradient_checkpointing: bool = Field(
        False,
        description="keep of the model's stages only what goes in and out, and work them out "
        "again in the backward: far less memory, up to a third more time",
    )
    tick: int = Field(2_000, ge=1, description="images between lines of metrics.jsonl")
    snapshot: int = Field(20_000, ge=1, description="images between sample grids")
    checkpoint: int = Field(20_000, ge=1, description="images between checkpoints")
    trackers: list[Literal["tensorboard", "wandb"]] = Field([], description="besides the files")


class MetricSettings(Section):
    """What is measured."""

    samples: int = Field(1_000, ge=2, description="pictures drawn for the figures of samples")
    features: str = Field(
        "auto", description="auto: Inception where its weights are found; a TorchScript file; none"
    )
    keep_best: Literal["auto", "inception", "textures", "none"] = Field(
        "auto",
        description="features by which the best snapshot is told and kept in model_best: textures "
        "(no weights, seconds), inception (a minute on a CPU); auto: inception on a GPU if found",
    )


class Settings(Section):
    """Everything that a run needs to know."""

    name: str = Field("run", pattern=r"^\w[\w.-]{0,99}$", description="name of the run folder")
    seed: int = Field(0, ge=0, description="seed of everything random")
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    prior: PriorSettings = PriorSettings()
    adversary: AdversarySettings | None = None
    introspective: IntrospectiveSettings | None = None
    terms: TermSettings = TermSettings()
    code: CodeSettings = CodeSettings()
    corruption: CorruptionSettings | None = None
    training: TrainingSettings = TrainingSettings()
    metrics: MetricSettings = MetricSettings()

    @property
    def inputs(self) -> str | None:
        """The source of what the encoder sees beside ``data.source``, where there is one."""
        return None if self.corruption is None else self.corruption.inputs
