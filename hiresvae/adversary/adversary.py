"""The adversary as the training step sees it: pictures in, named terms for each side out."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from hiresvae.adversarial import AdversarySettings
from hiresvae.adversary import losses
from hiresvae.adversary.augment import Change
from hiresvae.adversary.averages import Averages
from hiresvae.adversary.discriminator import Judgement
from hiresvae.seeding import Noise

OF_ORIGINALS = ("feature_matching", "classifier_matching")
"""Terms that hold a reconstruction against its original: a distortion, not a verdict."""


@dataclass(frozen=True)
class Verdict:
    """Terms of one step, each ``(N,)``, unweighted.

    A term of one kind of fakes is 0 in rows of another, and so much larger in its own that its mean
    over the batch of all parts and processes is that over its kind. Names, and rows, so do not
    depend on which kinds a part of the batch happens to hold.

    Attributes:
        fakes: the leaf that the model's terms are to be differentiated at, ``(N, C, H, W)``.
        model: what the model minimises: ``adversarial`` and ``fake_class_nats`` over all fakes,
            ``feature_matching`` and ``classifier_matching`` over the reconstructions,
            ``mean_matching`` and ``class_mean_matching`` over the samples.
        critic: what the critic minimises: ``critic``, ``real_class_nats``, ``lecam`` and, on some
            steps, ``r1`` and ``r2``.
        real_logits: ``(N,)`` detached.
        fake_logits: ``(N,)`` detached.
        observed: sums of these rows for the running means; their sum over all parts and processes
            goes to `Adversary.observe`.
        shown: what is only to be logged, ``(N,)``: how often the classifier was right.
    """

    fakes: Tensor
    model: dict[str, Tensor]
    critic: dict[str, Tensor]
    real_logits: Tensor
    fake_logits: Tensor
    observed: tuple[Tensor, ...] = ()
    shown: dict[str, Tensor] = field(default_factory=dict)

    def means(self) -> dict[str, Tensor]:
        """Returns the mean of every term, by name, for the logs."""
        terms = self.model | self.critic | self.shown
        terms |= {"real_logit": self.real_logits, "fake_logit": self.fake_logits}
        return {name: term.detach().mean() for name, term in terms.items()}


@dataclass(frozen=True)
class Adversary:
    """Judges fakes against the real pictures of the same rows, by one forward of the critic each.

    Both sides' terms come from that forward: the model's are differentiated at the fakes alone and
    the critic's at its weights alone, so neither leaves anything in the other, and nothing is
    computed twice. A reconstruction and its original are augmented alike, so that their features
    can be compared.

    Attributes:
        settings: the section ``adversary``.
        averages: the running means that the settings ask for; None where they ask for none.
    """

    settings: AdversarySettings
    averages: Averages | None = None

    def penalises(self, number: int) -> bool:
        """Returns whether R1 and R2 are due at a step, counted from 0."""
        return self.settings.gamma > 0 and number % self.settings.penalty_every == 0

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
        paired_share: float | None = None,
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
            paired_share: share of reconstructions among the fakes of the whole batch, of which
                these rows may be a part; None: these rows are the whole.
        """
        # Apart, not as one batch: the model's gradient then passes back through the fakes alone.
        real = real.detach().requires_grad_(penalty)
        fakes = fakes.detach().requires_grad_(True)
        change = Change.drawn(noise, self.settings.augment, probability)
        with parametrize.cached():  # both sides by the same weights, worked out once
            on_real: Judgement = critic(change(real), labels)
            on_fake: Judgement = critic(change(fakes), labels)
        terms = self._critic_terms(on_real, on_fake, labels)
        if penalty:
            terms["r1"] = losses.gradient_penalty(on_real.logits, real, on_real.weights)
            terms["r2"] = losses.gradient_penalty(on_fake.logits, fakes, on_real.weights)
        return Verdict(
            fakes,
            self._model_terms(on_real, on_fake, labels, paired, paired_share),
            terms,
            losses.weighed(on_real.logits.detach(), on_real.weights),
            losses.weighed(on_fake.logits.detach(), on_real.weights),
            observed=self._observed(on_real, on_fake, labels, paired),
            shown=_accuracies(on_real, on_fake, labels),
        )

    def _critic_terms(
        self, on_real: Judgement, on_fake: Judgement, labels: Tensor | None
    ) -> dict[str, Tensor]:
        chosen, shares = self.settings, on_real.weights
        name = chosen.loss
        terms = {"critic": losses.critic_loss(name, on_real.logits, on_fake.logits, shares)}
        if on_real.class_logits is not None and labels is not None:
            # Of real pictures alone: a classifier that also learnt the fakes would excuse them.
            terms["real_class_nats"] = _cross_entropy(on_real.class_logits, labels)
        if self.averages is not None and self.averages.logits is not None:
            real_mean, fake_mean, known = self.averages.logits.means()
            penalty = losses.lecam(on_real.logits, on_fake.logits, real_mean, fake_mean, shares)
            terms["lecam"] = penalty * known
        return terms

    def _model_terms(
        self,
        on_real: Judgement,
        on_fake: Judgement,
        labels: Tensor | None,
        paired: Tensor,
        paired_share: float | None,
    ) -> dict[str, Tensor]:
        chosen, terms = self.settings, {}
        copies = _counted(paired, paired_share)
        samples = _counted(~paired, None if paired_share is None else 1 - paired_share)
        if chosen.loss != "mean_features":
            real_logits = on_real.logits.detach()
            terms["adversarial"] = losses.model_loss(
                chosen.loss, real_logits, on_fake.logits, on_real.weights
            )
        if chosen.feature_matching and copies is not None:
            fake, real = (_compared(side, chosen.feature_layer) for side in (on_fake, on_real))
            distance = losses.feature_distance(fake, real, chosen.feature_distance)
            terms["feature_matching"] = distance * copies
        means = self.averages
        if means is not None and means.features is not None and samples is not None:
            gap = means.features.gap()
            terms["mean_matching"] = losses.mean_distance(_embedding(on_fake), gap) * samples
        if on_fake.class_logits is None or on_fake.class_embedding is None or labels is None:
            return terms
        if chosen.classifier:
            terms["fake_class_nats"] = _cross_entropy(on_fake.class_logits, labels)
        if (
            chosen.classifier_matching
            and on_real.class_embedding is not None
            and copies is not None
        ):
            fake, real = {1: on_fake.class_embedding}, {1: on_real.class_embedding}
            distance = losses.feature_distance(fake, real, "squared")
            terms["classifier_matching"] = distance * copies
        if means is not None and means.classes is not None and samples is not None:
            gap = means.classes.gap()[labels]
            matched = losses.mean_distance(on_fake.class_embedding, gap)
            terms["class_mean_matching"] = matched * samples
        return terms

    def _observed(
        self, on_real: Judgement, on_fake: Judgement, labels: Tensor | None, paired: Tensor
    ) -> tuple[Tensor, ...]:
        """Returns the sums of these rows in the order of `Averages.kept`."""
        kept, sums = self.averages, []
        if kept is not None and kept.logits is not None:
            logits = (
                losses.weighed(j.logits, on_real.weights)[:, None] for j in (on_real, on_fake)
            )
            sums.append(kept.logits.sums(*logits))
        if kept is not None and kept.features is not None:
            both = (_embedding(on_real), _embedding(on_fake))
            sums.append(kept.features.sums(*both, chosen=~paired))
        if kept is not None and kept.classes is not None:
            assert on_real.class_embedding is not None and on_fake.class_embedding is not None
            both = (on_real.class_embedding, on_fake.class_embedding)
            sums.append(kept.classes.sums(*both, labels, ~paired))
        return tuple(sums)

    def observe(self, sums: Sequence[Tensor], images: int) -> None:
        """Takes in one step's ``observed``, added up over parts and processes; none is no step.

        Args:
            sums: in the order in which `Verdict.observed` has them.
            images: pictures in the step, over all processes.
        """
        if self.averages is not None and sums:
            self.averages.observe(sums, images)

    def model_loss(
        self, verdict: Verdict, share: float, *, of_originals: bool | None = None
    ) -> Tensor:
        """Returns the weighted sum of the model's terms, averaged.

        Args:
            verdict: of one step.
            share: the ramp's.
            of_originals: True: only the terms `OF_ORIGINALS`; False: only the others; None: all.
        """
        chosen = self.settings
        weights = {
            "adversarial": chosen.weight,
            "feature_matching": chosen.feature_matching,
            "mean_matching": chosen.mean_matching,
            "fake_class_nats": chosen.classifier,
            "classifier_matching": chosen.classifier_matching,
            "class_mean_matching": chosen.class_mean_matching,
        }
        parts = [
            share * weights[name] * term.mean()
            for name, term in verdict.model.items()
            if of_originals in (None, name in OF_ORIGINALS)
        ]
        return torch.stack(parts).sum() if parts else 0 * verdict.fakes.sum()

    def critic_loss(self, verdict: Verdict) -> Tensor:
        """Returns the weighted sum of the critic's terms, averaged.

        A penalty that is due every k-th step counts k times, which is the same on average.
        """
        loss = verdict.critic["critic"].mean()
        if "real_class_nats" in verdict.critic:
            loss = loss + verdict.critic["real_class_nats"].mean()
        if "lecam" in verdict.critic:
            loss = loss + self.settings.lecam * verdict.critic["lecam"].mean()
        if "r1" in verdict.critic:
            factor = self.settings.gamma * self.settings.penalty_every
            loss = loss + factor * (verdict.critic["r1"].mean() + verdict.critic["r2"].mean())
        return loss


def _counted(members: Tensor, share: float | None) -> Tensor | None:
    """Returns what each row counts ``(N,)``, so that a mean over the batch is over its members.

    By multiplication: to choose rows by a mask, the host would have to wait for their number.

    Args:
        members: bool ``(N,)``.
        share: of members in the whole batch; None: these rows are the whole.

    Returns:
        None where the batch has no member.
    """
    rows = members.float()
    if share is None:
        return rows / rows.mean().clamp_min(0.5 / len(rows))
    return rows / share if share > 0 else None


def _compared(judgement: Judgement, layer: str | int) -> dict[int, Tensor]:
    """Returns the features to be compared, by side."""
    if isinstance(layer, int):
        return {layer: judgement.features[layer]}
    return judgement.features if layer == "all" else {1: _embedding(judgement)}


def _embedding(judgement: Judgement) -> Tensor:
    if judgement.embedding is None:
        raise ValueError("this critic does not tell what its last layer is given")
    return judgement.embedding


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns ``-ln P(label)`` in nats ``(N,)`` for logits ``(N, K)``."""
    return F.cross_entropy(logits.float(), labels, reduction="none")


def _accuracies(on_real: Judgement, on_fake: Judgement, labels: Tensor | None) -> dict[str, Tensor]:
    """Returns where the classifier is right ``(N,)``; of fakes it never learnt."""
    if on_real.class_logits is None or on_fake.class_logits is None or labels is None:
        return {}
    sides = {"real": on_real.class_logits, "fake": on_fake.class_logits}
    return {
        f"{name}_class_accuracy": (logits.detach().argmax(1) == labels).float()
        for name, logits in sides.items()
    }
