"""Who is told what by the critic: with `reaches` "decoder" its verdict stops at the latents."""

import math
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from hiresvae.adversarial import AdversarySettings
from hiresvae.adversary.adversary import Adversary
from hiresvae.adversary.discriminator import Judgement
from hiresvae.models.contract import Drawn, Outputs, Walk
from hiresvae.models.draws import FromPosterior
from hiresvae.models.vae import VAE
from hiresvae.seeding import Noise, Shard
from hiresvae.settings import ModelSettings
from hiresvae.training.introspective import encoder_names
from hiresvae.training.objective import Fakes
from hiresvae.training.push import Push, held

CPU = torch.device("cpu")
FOUR = Noise(0, 0, Shard(4, 0, 4))
X, TOPS = [0.5, -1.0, 0.25, 2.0], [0.75, -0.5]
"""Pictures of one pixel, and the latents of the samples in rows 1 and 3."""
ENCODER, DECODER, SLOPE = 0.8, -1.5, 0.4
WEIGHT, MATCHING = 0.3, 0.7


class OfTwoWeights(nn.Module):
    """``z = encoder x`` and ``x' = decoder z``."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Parameter(torch.tensor(ENCODER))
        self.decoder = nn.Parameter(torch.tensor(DECODER))

    def outputs(self) -> Outputs:
        z, nothing = self.encoder * pixels(X), torch.zeros(4)
        return Outputs(
            nothing, nothing[:, None], nothing, self.decoder * z, z.flatten(1),
            sample=self.decoder * pixels(TOPS), latents=[z],
        )  # fmt: skip

    def walk(self, draw: Any, labels: Tensor | None, count: int, grain: Any) -> Walk:
        drawn: Drawn = draw(0, None, None)
        assert len(drawn.z) == count
        return Walk(self.decoder * drawn.z, [drawn])

    def likelihood(self, head: Tensor) -> Any:
        return SimpleNamespace(mean=head)


class Known(nn.Module):
    """Its logit is ``SLOPE x``, its features are x."""

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Judgement:
        return Judgement(SLOPE * images.flatten(1), {1: images})


def pixels(values: list[float]) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1)


@pytest.mark.parametrize("reaches", ["encoder", "decoder"])
def test_the_gradients_of_two_weights_by_hand(reaches: Any):
    settings = AdversarySettings(
        loss="minimax", weight=WEIGHT, feature_matching=MATCHING, feature_distance="squared",
        feature_layer=1, augment=[], reaches=reaches,
    )  # fmt: skip
    model, opponent = OfTwoWeights(), Adversary(settings)
    vae, outputs = cast(VAE, model), model.outputs()
    fakes = Fakes.of_rows(["reconstructions", "standard"], 0, 4, CPU)
    mixed = fakes.mix(outputs)
    verdict = opponent.judge(
        Known(), pixels(X), mixed, None, paired=fakes.paired, noise=FOUR, penalty=False
    )
    share = 0.5
    Push.of(opponent, verdict, share).felt(mixed, vae, outputs, None, fakes, FOUR).backward()

    at_encoder = at_decoder = 0.0
    for row, x in enumerate(X):
        z = TOPS[row // 2] if row % 2 else ENCODER * x
        made = DECODER * z
        told = -share * WEIGHT / 4 * SLOPE / (1 + math.exp(-SLOPE * made))  # d ln(1 - D) / d x'
        at_decoder += told * z
        if row % 2 == 0:
            off = share * MATCHING / 2 * (made - x)
            at_decoder += off * z
            at_encoder += off * DECODER * x
            if reaches == "encoder":
                at_encoder += told * DECODER * x
    assert model.encoder.grad is not None and model.decoder.grad is not None
    assert model.encoder.grad.item() == pytest.approx(at_encoder)
    assert model.decoder.grad.item() == pytest.approx(at_decoder)


@pytest.mark.parametrize(
    "kinds", [["reconstructions", "standard"], ["reconstructions"], ["fitted"]]
)
def test_pictures_of_held_latents_are_the_same_and_only_the_decoders(kinds: list[str]):
    torch.manual_seed(0)
    chosen = ModelSettings(
        pyramid="1x1 4x1 8", width=4, max_width=8, latent_dim=6, rung_dim=2, grain=True,
        conditional=True,
    )  # fmt: skip
    vae = VAE(chosen, size=8, channels=3, classes=2)
    with torch.no_grad():
        for weight in vae.parameters():
            weight += 0.1 * torch.randn(weight.shape)
    labels = torch.tensor([0, 1, 1, 0])
    fakes = Fakes.of_rows(kinds, 0, 4, CPU)
    rows = fakes.sampled
    outputs = vae(
        torch.rand(4, 3, 8, 8), labels, noise=FOUR.normal,
        top=torch.randn(len(rows), 6) if len(rows) else None, top_labels=labels[rows],
        top_noise=lambda stream, *shape: FOUR.normal(stream, *shape)[rows],
    )  # fmt: skip
    again = held(vae, outputs, labels, fakes, FOUR)
    torch.testing.assert_close(again.reconstruction, outputs.reconstruction)
    assert again.sample is outputs.sample
    names, weights = zip(*vae.named_parameters(), strict=True)
    told = torch.autograd.grad(fakes.mix(again).sum(), weights, allow_unused=True)
    moved = {
        name
        for name, gradient in zip(names, told, strict=True)
        if gradient is not None and gradient.any()
    }
    assert not moved & encoder_names(vae)
    assert "decoder.head.weight" in moved and "table.weight" in moved
    # What a rung would be drawn from, only samples tell.
    assert any("foresee" in name for name in moved) == bool(len(rows))


BEGUN = ("adversary.start=0", "adversary.ramp=0", "model.kl_warmup=0", "model.grain=true")
CLASSES = ("model.conditional=true", "data.labels=set")
LADDER = "model.pyramid=1x1 4 8 16"
VERDICT = (
    *BEGUN, "model.distortion_weight=0", "adversary.loss=minimax", "adversary.weight=8",
    "adversary.feature_layer=8", "adversary.feature_distance=squared",
)  # fmt: skip
MEANS = (
    *BEGUN, *CLASSES, "adversary.loss=mean_features", "adversary.condition=classifier",
    "adversary.classifier_matching=1", "adversary.mean_matching=40",
    "adversary.class_mean_matching=40", "adversary.critic=whole", "adversary.classifier=0",
)  # fmt: skip
CASES = {
    "vae/gan": (VERDICT, ("adversary.weight=0",)),
    "vae/gan, a ladder": ((*VERDICT, LADDER), ("adversary.weight=0",)),
    "labels": (
        (*BEGUN, *CLASSES, "adversary.condition=both", "adversary.classifier=4"),
        ("adversary.weight=0", "adversary.classifier=0"),
    ),
    "cvae-gan": (MEANS, ("adversary.mean_matching=0", "adversary.class_mean_matching=0")),
}
"""What a model is trained by, and what leaves only what reconstructions' originals tell."""


@pytest.fixture
def gradients(make_trainer: Any) -> Any:
    """The model's gradients of the second step, in which the means are known: (*overrides)."""

    def of(*overrides: str) -> dict[str, Tensor]:
        trainer = make_trainer(*overrides)
        trainer._set_rates(0.0)
        trainer.step(0)
        found: dict[str, Tensor] = {}
        seen = trainer.step._gradient_norm

        def noted(owner: str) -> Tensor:
            if owner == "model":
                found.update({n: p.grad.clone() for n, p in trainer.vae.named_parameters()})
            return seen(owner)

        trainer.step._gradient_norm = noted
        trainer.step(1)
        own = encoder_names(trainer.vae)
        return {("encoder " if name in own else "decoder ") + name: g for name, g in found.items()}

    return of


def apart(one: dict[str, Tensor], other: dict[str, Tensor], side: str) -> float:
    """How far gradients of one side differ, of the size of the first."""
    pairs = [(g, other[name]) for name, g in one.items() if name.startswith(side)]
    off = torch.stack([(a - b).norm() for a, b in pairs]).norm()
    return float(off / torch.stack([a.norm() for a, _ in pairs]).norm())


@pytest.mark.parametrize("case", CASES)
def test_the_encoder_hears_of_originals_alone_and_the_decoder_all(gradients, case):
    chosen, without = CASES[case]
    every = gradients(*chosen)
    stopped = gradients(*chosen, "adversary.reaches=decoder")
    of_originals = gradients(*chosen, *without)
    assert apart(of_originals, stopped, "encoder ") < 1e-4
    assert apart(of_originals, every, "encoder ") > 1e-3
    assert apart(of_originals, stopped, "decoder ") > 1e-3
    if "ladder" not in case:  # there, part of the decoder is on the way to lower latents
        assert apart(every, stopped, "decoder ") < 1e-4


@pytest.mark.parametrize("model", [LADDER, "model.backbone=dense", "model.backbone=classic"])
def test_the_decoder_is_told_what_it_would_be_if_latents_were_constants(
    gradients, monkeypatch, model
):
    alone = [
        *(word for word in VERDICT if "grain" not in word), *CLASSES, model, "model.beta=0",
        "adversary.feature_matching=1e-9",
    ]  # fmt: skip
    stopped = gradients(*alone, "adversary.reaches=decoder")
    drawn = FromPosterior.__call__

    def constant(self: FromPosterior, *given: Any) -> Drawn:
        found = drawn(self, *given)
        return Drawn(found.z.detach(), found.posterior, found.prior)

    monkeypatch.setattr(FromPosterior, "__call__", constant)
    expected = gradients(*alone)
    assert apart(expected, stopped, "decoder ") < 1e-4
    norms = torch.stack([g.norm() for name, g in stopped.items() if name.startswith("encoder ")])
    largest = max(float(g.norm()) for g in stopped.values())
    assert norms.max() < 1e-6 * largest, "only the trace of matching that was asked for"
