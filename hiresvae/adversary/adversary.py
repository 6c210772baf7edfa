"""The adversary as the training step sees it: pictures in, named terms for each side out."""

from dataclasses import dataclass

from torch import Tensor, nn

from hiresvae.adversary import losses
from hiresvae.adversary.augment import Change
from hiresvae.adversary.discriminator import Judgement
from hiresvae.seeding import Noise
from hiresvae.settings import AdversarySettings


@dataclass(frozen=True)
class Verdict:
    """Terms of one step, each ``(n,)``, unweighted.

    Attributes:
        fakes: the leaf that the model's terms are to be differentiated at, ``(N, C, H, W)``.
        model: what the model minimises: ``adversarial`` over all fakes, ``feature_matching`` over
            the reconstructions.
        critic: what the critic minimises: ``critic`` and, on some steps, ``r1`` and ``r2``.
        real_logits: ``(N,)`` detached.
        fake_logits: ``(N,)`` detached.
    """

    fakes: Tensor
    model: dict[str, Tensor]
    critic: dict[str, Tensor]
    real_logits: Tensor
    fake_logits: Tensor


@dataclass(frozen=True)
class Adversary:
    """Judges fakes against the real pictures of the same rows, by one forward of the critic each.

    Both sides' terms come from that forward: the model's are differentiated at the fakes alone and
    the critic's at its weights alone, so neither leaves anything in the other, and nothing is
    computed twice. A reconstruction and its original are augmented alike, so that their features
    can be compared.

    Attributes:
        settings: the section ``adversary``.
    """

    settings: AdversarySettings

    def judge(
        self,
        critic: nn.Module,
        real: Tensor,
        fakes: Tensor,
        labels: Tensor | None,
        *,
        paired: Tensor,
        noise: Noise,
        penalty: bool,
        probability: Tensor | float = 1.0,
    ) -> Verdict:
        """Returns the terms of both sides.

        Args:
            critic: pictures and labels to a `Judgement`; may be wrapped for several processes.
            real: ``(N, C, H, W)``.
            fakes: ``(N, C, H, W)``, row i made beside real row i; taken as constants.
            labels: ``(N,)`` of both, or None.
            paired: bool ``(N,)``: where the fake is the reconstruction of its real.
            noise: numbers of this step.
            penalty: whether R1 and R2 are due.
            probability: of each kind of augmentation in each row.
        """
        # Apart, not as one batch: the model's gradient then passes back through the fakes alone.
        real = real.detach().requires_grad_(penalty)
        fakes = fakes.detach().requires_grad_(True)
        change = Change.drawn(noise, self.settings.augment, probability)
        on_real: Judgement = critic(change(real), labels)
        on_fake: Judgement = critic(change(fakes), labels)
        name, shares = self.settings.loss, on_real.weights
        pushed = losses.model_loss(name, on_real.logits.detach(), on_fake.logits, shares)
        model = {"adversarial": pushed}
        if self.settings.feature_matching:
            distance = losses.feature_distance(on_fake.features, on_real.features)
            model["feature_matching"] = distance[paired]
        terms = {"critic": losses.critic_loss(name, on_real.logits, on_fake.logits, shares)}
        if penalty:
            terms["r1"] = losses.gradient_penalty(on_real.logits, real, shares)
            terms["r2"] = losses.gradient_penalty(on_fake.logits, fakes, shares)
        return Verdict(
            fakes,
            model,
            terms,
            on_real.logits.detach() @ shares,
            on_fake.logits.detach() @ shares,
        )

    def model_loss(self, verdict: Verdict, share: float) -> Tensor:
        """Returns the weighted sum of the model's terms, averaged; ``share`` is the ramp's."""
        chosen = self.settings
        loss = share * chosen.weight * verdict.model["adversarial"].mean()
        matching = verdict.model.get("feature_matching")
        if matching is not None and len(matching):  # none where no fake is a reconstruction
            loss = loss + share * chosen.feature_matching * matching.mean()
        return loss

    def critic_loss(self, verdict: Verdict) -> Tensor:
        """Returns the weighted sum of the critic's terms, averaged.

        A penalty that is due every k-th step counts k times, which is the same on average.
        """
        loss = verdict.critic["critic"].mean()
        if "r1" in verdict.critic:
            factor = self.settings.gamma * self.settings.penalty_every
            loss = loss + factor * (verdict.critic["r1"].mean() + verdict.critic["r2"].mean())
        return loss
