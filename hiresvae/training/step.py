"""One optimiser step of the model and, where there is one, of the critic.

One forward of the model gives reconstruction and sample; one forward of the critic on each side
gives both networks' losses. The model's loss gains ``<fakes, gradient>``, whose derivative is the
critic's gradient passed on, so that one backward serves everything and the critic's weights never
see the model's loss. Nothing here waits for the device.
"""

import contextlib
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from hiresvae.adversary.adaptive import AugmentProbability, certainty
from hiresvae.adversary.adversary import Adversary, Verdict
from hiresvae.data.batches import Batches
from hiresvae.models.contract import NormalNoise, Outputs
from hiresvae.models.vae import VAE
from hiresvae.priors import RunningGaussian
from hiresvae.seeding import Noise, Shard
from hiresvae.settings import Settings
from hiresvae.training.objective import Fakes, adversary_share, bound_loss, kl_weight


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
        self.adversary = Adversary(settings.adversary) if settings.adversary else None
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
        share = number * training.batch_size / training.images
        rows = training.batch_size // (processes * parts)
        first = self.accelerator.process_index * parts * rows
        logs: dict[str, list[Tensor]] = {}
        sums: list[tuple[Tensor, Tensor, Tensor]] = []
        for part in range(parts):
            start = first + part * rows
            shard = Shard(training.batch_size, start, start + rows)
            with contextlib.ExitStack() as stack:
                if part < parts - 1:
                    for network in (self.networks.model, self.networks.critic):
                        if network is not None:
                            stack.enter_context(self.accelerator.no_sync(network))
                noise = Noise(self.settings.seed, number, shard, self.accelerator.device)
                latents, terms = self._part(number, share, shard, noise, measure)
            sums.append(latents)
            for name, value in terms.items():
                logs.setdefault(name, []).append(value)
        means = {name: torch.stack(values).mean(0) for name, values in logs.items()}
        self._advance(means, sums)
        return means

    def _part(
        self, number: int, share: float, shard: Shard, noise: Noise, measure: bool
    ) -> tuple[tuple[Tensor, Tensor, Tensor], dict[str, Tensor]]:
        """Does forward and backward of both networks for some rows of the batch.

        Returns what the running prior observes, and the logs.
        """
        images, labels = self.batches.batch(number * shard.total + shard.start, shard.size)
        images = images.contiguous(memory_format=torch.channels_last)
        labels = labels if self.vae.classes else None
        ramp = None
        if self.adversary is not None:
            ramp = adversary_share(self.adversary.settings, share)
        fakes = None
        if self.adversary is not None and ramp is not None:
            kinds = list(self.adversary.settings.fakes)
            fakes = Fakes.of_rows(kinds, shard.start, shard.size, images.device)
        with self.accelerator.autocast():
            outputs = self._forward(images, labels, noise, fakes)
        beta = kl_weight(self.settings.model, share)
        bound = bound_loss(outputs, self.dims, beta, self.settings.model.free_nats)
        rate = outputs.rate.detach().mean(0)
        logs = {
            "distortion_nats": outputs.distortion.detach().mean(),
            "rate_nats": rate.sum(),
            **({f"rate_nats_{i}": r for i, r in enumerate(rate)} if len(rate) > 1 else {}),
            "error": outputs.error.detach().mean(),
            "bound_nats_per_dim": bound.detach(),
        }
        loss = bound
        if fakes is not None:
            mixed = fakes.mix(outputs)
            push, terms = self._judge(images, mixed, labels, fakes, noise, number, ramp or 0.0)
            logs |= terms
            loss = bound + (mixed.float() * push).sum()
            if measure:
                logs |= self._compare(bound, mixed, push)
        self.accelerator.backward(loss / self.settings.training.accumulation)
        return self.running.sums(outputs.top, labels), logs

    def _forward(
        self,
        images: Tensor,
        labels: Tensor | None,
        noise: Noise,
        fakes: Fakes | None,
        model: nn.Module | None = None,
    ) -> Outputs:
        """Returns the model's outputs, with samples where the critic is to see some.

        ``model`` is the trained one as it is wrapped, unless told.
        """
        model = model or self.networks.model
        if fakes is None or not len(fakes.sampled):
            return model(images, labels, noise=noise.normal)
        rows = fakes.sampled
        top_labels = None if labels is None else labels[rows]
        draws = noise.normal("top", self.running.means.shape[1])[rows]
        fitted = self.running.sample(draws, top_labels)
        top = torch.where(fakes.standard[:, None], draws, fitted)

        def top_noise(stream: str, *shape: int) -> Tensor:
            return noise.normal(stream, *shape)[rows]

        lower: NormalNoise = top_noise
        return model(
            images,
            labels,
            noise=noise.normal,
            top=top,
            top_labels=top_labels,
            top_noise=lower,
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
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Does the critic's forward and backward; returns what pushes the fakes, and the logs."""
        assert self.adversary is not None and self.networks.critic is not None
        chosen = self.adversary.settings
        penalty = chosen.gamma > 0 and number % chosen.penalty_every == 0
        # Double backward in half precision overflows: a step with penalties runs in float32.
        context = contextlib.nullcontext() if penalty else self.accelerator.autocast()
        with context:
            verdict: Verdict = self.adversary.judge(
                self.networks.critic,
                images,
                mixed.float(),
                labels,
                paired=fakes.paired,
                noise=noise,
                penalty=penalty,
                probability=self.augment.value if self.augment is not None else 1.0,
            )
        push = torch.zeros_like(mixed)
        if ramp > 0:
            (push,) = torch.autograd.grad(
                self.adversary.model_loss(verdict, ramp), verdict.fakes, retain_graph=True
            )
        critic_loss = self.adversary.critic_loss(verdict)
        self.accelerator.backward(critic_loss / self.settings.training.accumulation)
        terms = {name: term.detach().mean() for name, term in verdict.model.items() if len(term)}
        terms |= {name: term.detach().mean() for name, term in verdict.critic.items()}
        terms["real_logit"] = verdict.real_logits.mean()
        terms["fake_logit"] = verdict.fake_logits.mean()
        sign = certainty(chosen.loss, verdict.real_logits, verdict.fake_logits)
        terms["critic_sign"] = sign.mean()
        return push.detach(), terms

    def _compare(self, bound: Tensor, mixed: Tensor, push: Tensor) -> dict[str, Tensor]:
        """Returns the norms of both gradients at the decoder's last layer."""
        weight = self.vae.last_layer
        (from_bound,) = torch.autograd.grad(bound, weight, retain_graph=True)
        (from_critic,) = torch.autograd.grad(mixed, weight, push.to(mixed.dtype), retain_graph=True)
        return {
            "bound_gradient_norm": from_bound.norm(),
            "adversary_gradient_norm": from_critic.norm(),
        }

    @torch.no_grad()
    def _advance(self, means: dict[str, Tensor], sums: list[tuple[Tensor, Tensor, Tensor]]) -> None:
        """Steps both optimisers and takes in what was observed, the same on every process."""
        networks, training = self.networks, self.settings.training
        if training.clip is not None:
            norm = self.accelerator.clip_grad_norm_(networks.model.parameters(), training.clip)
            means["gradient_norm"] = torch.as_tensor(norm)
        networks.model_optimizer.step()
        networks.model_optimizer.zero_grad()
        if networks.critic_optimizer is not None and "critic" in means:
            networks.critic_optimizer.step()
            networks.critic_optimizer.zero_grad()
        totals = [torch.stack(column).sum(0) for column in zip(*sums, strict=True)]
        error = means["error"]
        if self.augment is not None and self.augment.adaptive and "critic_sign" in means:
            sign = self.accelerator.reduce(means["critic_sign"], "mean")
            self.augment.observe(sign, training.batch_size)
            means["augment_probability"] = self.augment.probability.clone()
        if self.accelerator.num_processes > 1:
            totals = [self.accelerator.reduce(total, "sum") for total in totals]
            error = self.accelerator.reduce(error, "mean")
        self.running.observe(totals[0], totals[1], totals[2], training.batch_size)
        self.vae.likelihood.observe(error)
