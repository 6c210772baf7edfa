"""One optimiser step of the model and, where there is one, of the critic.

One forward of the model gives reconstruction and sample; one forward of the critic on each side
gives both networks' losses. The model's loss gains ``<fakes, gradient>`` (`Push`), so that one
backward serves everything and the critic's weights never see the model's loss. Nothing here waits
for the device.
"""

import contextlib
from dataclasses import dataclass
from functools import partial, reduce

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from hiresvae.adversary import spectral
from hiresvae.adversary.adaptive import TARGET, AugmentProbability, certainty
from hiresvae.adversary.adversary import Adversary, Verdict
from hiresvae.adversary.averages import Averages
from hiresvae.adversary.balance import Balance, gradient_at
from hiresvae.data.batches import Batches
from hiresvae.devices import exact_products
from hiresvae.models.contract import Outputs
from hiresvae.models.vae import VAE, rows_of
from hiresvae.seeding import Noise, Shard
from hiresvae.settings import Settings
from hiresvae.training.codes import make_penalties
from hiresvae.training.free_nats import FreeNats
from hiresvae.training.gradients import NORMS, term_gradients
from hiresvae.training.guard import Guard, step_unless
from hiresvae.training.introspective import Introspection
from hiresvae.training.objective import (
    Fakes,
    adversary_share,
    bound_figures,
    bound_loss,
    kl_weight,
)
from hiresvae.training.push import Push
from hiresvae.training.running_prior import RunningGaussian
from hiresvae.training.schedule import Schedule
from hiresvae.training.sharpening import make_sharpening
from hiresvae.training.shown import shown
from hiresvae.training.spread import moments_of, spread
from hiresvae.training.steady import Steady
from hiresvae.training.suspects import Gradients, Suspects

Sums = dict[str, tuple[Tensor, ...]]
"""What running means observe of some rows, by whose they are: added up over parts and processes."""


@dataclass
class Networks:
    """What is trained, as prepared for this process.

    Attributes:
        model: the VAE, perhaps wrapped for several processes.
        model_optimizer: of the model.
        critic: the discriminator, perhaps wrapped; None without an adversary.
        critic_optimizer: of the critic.
    """

    model: nn.Module
    model_optimizer: torch.optim.Optimizer
    critic: nn.Module | None = None
    critic_optimizer: torch.optim.Optimizer | None = None


class Step:
    """Works off one batch after another.

    Args:
        settings: of the run.
        networks: prepared.
        batches: the order of pictures.
        running: the fit of the aggregate posterior.
        accelerator: precision and processes.
    """

    def __init__(
        self,
        settings: Settings,
        networks: Networks,
        batches: Batches,
        running: RunningGaussian,
        accelerator: Accelerator,
    ) -> None:
        self.settings, self.networks, self.batches = settings, networks, batches
        self.running, self.accelerator = running, accelerator
        self.vae: VAE = accelerator.unwrap_model(networks.model)
        self.dims = self.vae.channels * self.vae.size**2
        self.adversary = None
        if settings.adversary is not None and networks.critic is not None:
            averages = Averages(settings.adversary, accelerator.unwrap_model(networks.critic))
            self.adversary = Adversary(settings.adversary, averages.to(accelerator.device))
        self.sharpening = make_sharpening(settings.terms, accelerator.device, settings.data.size)
        self.penalties = make_penalties(settings.code, self.vae)
        self.introspection = (
            Introspection(settings.introspective, self.vae, running, accelerator.scaler)
            if settings.introspective
            else None
        )
        self.balance: Balance | None = None
        if settings.adversary and settings.adversary.balance == "gradient_ratio":
            self.balance = Balance(settings.adversary).to(accelerator.device)
        self.schedule = Schedule(settings.training.images)
        self.guard = Guard(settings).to(accelerator.device)
        self.suspects = Suspects()
        trained = {"model": networks.model, "critic": networks.critic}
        self.gradients = {name: Gradients(net) for name, net in trained.items() if net is not None}
        self.steady = Steady.of(settings.model, self.vae)
        self.free_nats = FreeNats(settings, self.vae, batches, accelerator)
        self.augment: AugmentProbability | None = None
        if settings.adversary is not None:
            self.augment = AugmentProbability(settings.adversary).to(accelerator.device)

    def __call__(self, number: int, *, measure: bool = False) -> dict[str, Tensor]:
        """Does step ``number``, counted from 0; returns means of the batch by name.

        Args:
            number: of the step; decides the pictures and all noise.
            measure: whether to compare the terms' gradients at the decoder's last layer.
        """
        training, parts = self.settings.training, self.settings.training.accumulation
        processes = self.accelerator.num_processes
        share = self.schedule.reached(number * training.batch_size)
        rows = training.batch_size // (processes * parts)
        first = self.accelerator.process_index * parts * rows
        logs: dict[str, list[Tensor]] = {}
        sums: list[Sums] = []
        noises = [
            Noise(
                self.settings.seed,
                number,
                Shard(training.batch_size, start, start + rows),
                self.accelerator.device,
            )
            for start in range(first, first + parts * rows, rows)
        ]
        mean_rate = self.free_nats.foreseen(noises)
        for part, noise in enumerate(noises):
            with contextlib.ExitStack() as stack:
                if part < parts - 1:
                    for network in (self.networks.model, self.networks.critic):
                        if network is not None:
                            stack.enter_context(self.accelerator.no_sync(network))
                observed, terms = self._part(number, share, noise, measure, mean_rate)
            sums.append(observed)
            for name, value in terms.items():
                logs.setdefault(name, []).append(value)
        means = {name: torch.stack(values).mean(0) for name, values in logs.items()}
        return self._advance(means, sums)

    def _part(
        self, number: int, share: float, noise: Noise, measure: bool, mean_rate: Tensor | None
    ) -> tuple[Sums, dict[str, Tensor]]:
        """Does forward and backward of both networks for some rows of the batch.

        Returns what the running prior, the adversary's running means and, on some steps, the
        balance observe, by name, and the logs.
        """
        given = shown(self.settings, self.batches, noise, bool(self.vae.classes))
        images, seen, labels, shard = given.images, given.seen, given.labels, noise.shard
        ramp, fakes, scaler = None, None, self.accelerator.scaler
        if self.adversary is not None:
            ramp = adversary_share(self.adversary.settings, share)
            if ramp is not None:
                kinds = self.adversary.settings.fakes
                fakes = Fakes.of_rows(kinds, shard.start, shard.size, images.device, shard.total)
        with self.accelerator.autocast():
            outputs = self._forward(images, labels, noise, fakes, seen=seen)
        beta = kl_weight(self.settings.model, share)
        if mean_rate is None:
            mean_rate = self.free_nats.mean_rate([outputs.rate])
        bound_of = partial(
            bound_loss,
            dims=self.dims,
            beta=beta,
            free_nats=self.settings.model.free_nats,
            balance=self.steady.balance(beta),
            mean_rate=mean_rate,
            distortion_weight=self.settings.model.distortion_weight,
        )
        bound = bound_of(outputs)
        logs = bound_figures(outputs, bound_of(outputs, distortion_weight=1.0))
        loss = self.steady.penalised(bound, logs)
        if self.sharpening is not None:
            distances = self.sharpening(outputs.reconstruction, images)
            logs |= {name: distance.detach().mean() for name, distance in distances.items()}
            loss = loss + self.sharpening.loss(distances)
        if fakes is not None and self.adversary is not None:
            weight = self.adversary.settings.coarse_distortion
            if weight > 0:
                coarse = fakes.coarse_loss(outputs, self.dims)
                loss, logs["coarse_nats_per_dim"] = loss + weight * coarse, coarse.detach()
        if self.penalties is not None:
            extra, terms = self.penalties(outputs, seen, labels, noise.normal)
            loss, logs = loss + extra, logs | terms
        sums: Sums = {"prior": self.running.sums(outputs.top, labels)}
        sums |= self.steady.sums(outputs)
        felt: Tensor | None = None
        if self.introspection is not None:
            feeling = adversary_share(self.introspection.settings, share)
            if feeling is not None:
                with self.accelerator.autocast():
                    told = self.introspection(outputs, labels, noise, beta, feeling)
                loss, logs, felt = loss + told.judged + told.felt, logs | told.logs, told.felt
                made = [(pictures, labels) for pictures in (images, *told.made.chunk(2))]
                sums["spread"] = moments_of(made, self.vae.classes)
        if fakes is not None:
            mixed = fakes.mix(outputs)
            # Penalties are of second order: whatever else is shortened, they are float32.
            due = self.adversary is not None and self.adversary.penalises(number)
            with exact_products() if due else contextlib.nullcontext():
                verdict, push, alone = self._judge(
                    images, mixed, labels, fakes, noise, number, ramp or 0.0
                )
            logs |= verdict.means()
            name = self.settings.adversary.loss if self.settings.adversary else ""
            sign = certainty(name, verdict.real_logits, verdict.fake_logits)
            logs["critic_sign"] = sign.mean()
            if self.balance is not None:
                weight = self.adversary.settings.weight if self.adversary else 0.0
                logs["adversary_weight"] = (ramp or 0.0) * weight * self.balance.ratio
            sums["means"] = verdict.observed
            if "spread" not in sums:  # what the encoder was shown is of both kinds, always
                made = [(images, labels), (outputs.reconstruction, labels)]
                made.append(fakes.drawn(outputs, labels))
                sums["spread"] = moments_of(made, self.vae.classes)
            with self.accelerator.autocast():
                pushed = push.felt(mixed, self.vae, outputs, labels, fakes, noise)
            if ramp:
                loss = loss + pushed
            felt = pushed if felt is None else felt + pushed
            if alone is not None:
                at = partial(gradient_at, place=self.vae.last_layer, needed=True, scaler=scaler)
                sums["balance"] = at(bound), at((mixed.float() * alone).sum())
        if measure:
            sums["gradients"] = term_gradients(self.vae, outputs, bound_of, felt, scaler)
        self.accelerator.backward(loss / self.settings.training.accumulation)
        return sums, logs

    def _forward(
        self,
        images: Tensor,
        labels: Tensor | None,
        noise: Noise,
        fakes: Fakes | None,
        model: nn.Module | None = None,
        seen: Tensor | None = None,
    ) -> Outputs:
        """Returns the model's outputs, with samples where the critic is to see some.

        ``model`` is the trained one as it is wrapped, and its encoder sees the images, unless told.
        """
        model = model or self.networks.model
        if fakes is None or not len(fakes.sampled):
            return model(images, labels, noise=noise.normal, seen=seen)
        rows = fakes.sampled
        top_labels = None if labels is None else labels[rows]
        draws = noise.normal("top", self.running.means.shape[1])[rows]
        fitted = self.running.sample(draws, top_labels)
        top = torch.where(fakes.standard[:, None], draws, fitted)

        return model(
            images,
            labels,
            noise=noise.normal,
            seen=seen,
            top=top,
            top_labels=top_labels,
            top_noise=rows_of(noise.normal, rows),
            top_rows=rows,
            own=fakes.coarse,
            coarse=self.adversary is not None and self.adversary.settings.coarse_distortion > 0,
        )

    def _judge(
        self,
        images: Tensor,
        mixed: Tensor,
        labels: Tensor | None,
        fakes: Fakes,
        noise: Noise,
        number: int,
        ramp: float,
    ) -> tuple[Verdict, Push, Tensor | None]:
        """Does the critic's forward and backward; returns its terms, and what pushes the fakes.

        Last, where the balance is due: the push of the adversarial term alone, unweighted.
        """
        assert self.adversary is not None and self.networks.critic is not None
        penalty = self.adversary.penalises(number)
        # Double backward in half precision overflows: a step with penalties runs in float32.
        with contextlib.nullcontext() if penalty else self.accelerator.autocast():
            verdict: Verdict = self.adversary.judge(
                self.networks.critic,
                images,
                mixed.float(),
                labels,
                paired=fakes.paired,
                paired_share=fakes.paired_share,
                noise=noise,
                penalty=penalty,
                probability=self.augment.value if self.augment is not None else 1.0,
            )
        push, alone, felt = Push(torch.zeros_like(verdict.fakes)), None, verdict
        scaler = self.accelerator.scaler
        if ramp > 0:
            if self.balance is not None:
                felt = self.balance.weighted(verdict)
                if self.balance.due(number):
                    term = verdict.model["adversarial"].mean()
                    alone = gradient_at(term, verdict.fakes, needed=True, scaler=scaler)
            push = Push.of(self.adversary, felt, ramp, scaler)
        critic_loss = self.adversary.critic_loss(verdict)
        # At the critic's weights alone: the fakes' gradient would be for nobody.
        self.accelerator.backward(
            critic_loss / self.settings.training.accumulation,
            inputs=list(self.networks.critic.parameters()),
        )
        return verdict, push, alone

    @torch.no_grad()
    def _advance(self, means: dict[str, Tensor], sums: list[Sums]) -> dict[str, Tensor]:
        """Steps both optimisers and takes in what was observed, the same on every process.

        Returns what the step tells: the means, and what they have changed; not a number each of a
        step that was skipped.
        """
        networks, training = self.networks, self.settings.training
        fake_spread = spread(*self._summed(sums, "spread")) if "spread" in sums[0] else None
        skip = self._skip(means, fake_spread)
        for optimizer in (networks.model_optimizer, networks.critic_optimizer):
            if optimizer is None or (optimizer is networks.critic_optimizer and not judged(means)):
                continue
            step_unless(optimizer, skip)
            optimizer.zero_grad()
            if optimizer is networks.critic_optimizer and networks.critic is not None:
                spectral.follow(networks.critic, skip)
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.update()
        # What is not finite changes nothing: a skipped step leaves no trace in what follows it.
        error = torch.where(skip, torch.nan, self._over_processes(means["error"], "mean"))
        totals = {
            name: [torch.where(skip, torch.nan, total) for total in self._summed(sums, name)]
            for name in sums[0]
            if name != "spread"  # which has told already
        }
        told: dict[str, Tensor] = {}
        if fake_spread is not None:
            least = torch.where(fake_spread.isnan(), torch.inf, fake_spread).amin()
            told["fake_spread"] = torch.where(least.isfinite() & ~skip, least, torch.nan)
        if self.augment is not None and self.augment.adaptive and "critic_sign" in means:
            sign = self.accelerator.reduce(means["critic_sign"], "mean")
            self.augment.observe(torch.where(skip, TARGET, sign), training.batch_size)
            told["augment_probability"] = self.augment.probability.clone()
        z_sum, outer_sum, count = totals["prior"]
        self.running.observe(z_sum, outer_sum, count, training.batch_size)
        if self.adversary is not None and "means" in totals:
            self.adversary.observe(totals["means"], training.batch_size)
        self.steady.observe(totals, training.batch_size, skip)
        self.vae.likelihood.observe(error)
        if self.balance is not None and "balance" in totals:
            bound, adversarial = totals["balance"]
            self.balance.observe(bound, adversarial, training.batch_size)
        if "gradients" in totals:
            parts = training.accumulation * self.accelerator.num_processes
            told |= {
                name: total.norm() / parts
                for name, total in zip(NORMS, totals["gradients"], strict=False)
            }
        # Nor does a skipped step count in what is told: one has had 10^8 times the others' nats.
        values = torch.stack([value.float() for value in means.values()])
        kept = torch.where(skip, torch.nan, values).unbind()
        return dict(zip(means, kept, strict=True)) | told

    def _summed(self, sums: list[Sums], name: str) -> list[Tensor]:
        """Returns what was observed, added up over parts and processes."""
        columns = zip(*(part[name] for part in sums), strict=True)
        return [self._over_processes(reduce(torch.add, column), "sum") for column in columns]

    def _over_processes(self, value: Tensor, kind: str) -> Tensor:
        if self.accelerator.num_processes > 1:
            value = self.accelerator.reduce(value, kind)
        return value

    def _skip(self, means: dict[str, Tensor], fake_spread: Tensor | None) -> Tensor:
        """Returns whether to skip the step, bool ``()``, the same on every process."""
        networks, training = self.networks, self.settings.training
        if self.accelerator.scaler is not None:
            self.accelerator.unscale_gradients()  # of both networks, once
        norm = self._gradient_norm("model")
        if training.clip is not None:
            nn.utils.clip_grads_with_norm_(networks.model.parameters(), training.clip, norm)
            means["gradient_norm"] = norm
        # Whatever a step tells must be finite, so that no term can be forgotten.
        told = torch.stack([value.float() for value in means.values()])
        self.suspects.note(means, told)
        loss = told.sum()
        figures = {"loss": loss, "model": norm.float()}
        if networks.critic is not None and judged(means):
            figures["critic"] = self._gradient_norm("critic").float()
        values = self._over_processes(torch.stack(list(figures.values())), "mean")
        seen = dict(zip(figures, values, strict=True))
        return self.guard.judge(
            seen["loss"],
            seen["model"],
            seen.get("critic"),
            penalty="r1" in means,
            fake_spread=fake_spread,
        )

    def _gradient_norm(self, owner: str) -> Tensor:
        """Returns the norm of a network's gradient ``()``; where it is not finite is noted."""
        names, norms = self.gradients[owner].norms()
        self.suspects.note(names, norms, owner)
        return torch.linalg.vector_norm(norms)


def judged(means: dict[str, Tensor]) -> bool:
    """Whether the critic took part in a step that tells these figures."""
    return "critic" in means
