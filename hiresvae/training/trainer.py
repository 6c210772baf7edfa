"""The training loop: step, tick, snapshot, checkpoint, until all images are seen."""

import functools
import logging
import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from hiresvae.adversary.adaptive import AugmentProbability
from hiresvae.adversary.averages import Averages
from hiresvae.adversary.balance import Balance
from hiresvae.adversary.discriminator import Discriminator
from hiresvae.blocks.layers import channels_last
from hiresvae.blocks.staged import recompute_stages
from hiresvae.data import PictureData
from hiresvae.data.batches import Batches
from hiresvae.devices import refuse_split
from hiresvae.errors import UserError
from hiresvae.held_memory import hold_memory
from hiresvae.models.vae import VAE
from hiresvae.priors import Density
from hiresvae.run import MetricsFile, RunFolder
from hiresvae.settings import Settings
from hiresvae.training import checkpoint, guard
from hiresvae.training.best import Best
from hiresvae.training.objective import adversary_share
from hiresvae.training.optim import Average, make_optimizer, rate_factor
from hiresvae.training.progress import Progress
from hiresvae.training.rung_plot import draw_rungs
from hiresvae.training.rungs import RungWatch
from hiresvae.training.running_prior import RunningGaussian
from hiresvae.training.schedule import Schedule
from hiresvae.training.signals import Stop
from hiresvae.training.snapshots import Snapshots, running_density
from hiresvae.training.steady import Steady
from hiresvae.training.step import Networks, Step
from hiresvae.training.watch import Watch

log = logging.getLogger("hiresvae")


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Attributes:
        images_seen: in all.
        finished: whether all images of the settings were seen.
        signal: that this process was told to stop by; None if another one was, or none.
    """

    images_seen: int
    finished: bool
    signal: int | None = None


def build(settings: Settings, channels: int, classes: int) -> tuple[VAE, Discriminator | None]:
    """Returns the networks that the settings describe, the same for the same seed."""
    torch.manual_seed(settings.seed)
    size = settings.data.size
    model = VAE(settings.model, size=size, channels=channels, classes=classes)
    recompute_stages(model, settings.training.gradient_checkpointing)
    critic = None
    if settings.adversary is not None:
        seen = classes if settings.model.conditional else 0
        critic = Discriminator(settings.adversary, size=size, channels=channels, classes=seen)
    return model, critic


def _crossed(every: int, before: int, now: int) -> bool:
    """Whether a multiple of ``every`` lies in (before, now]."""
    return now // every > before // every


class Trainer:
    """Trains one run to its end, from wherever it stands.

    Args:
        settings: checked.
        data: opened.
        run: folder, created.
        accelerator: one for the process.

    Raises:
        UserError: the accelerator would split the networks over processes.
    """

    def __init__(
        self, settings: Settings, data: PictureData, run: RunFolder, accelerator: Accelerator
    ) -> None:
        refuse_split(accelerator.distributed_type)
        self.settings, self.run, self.accelerator = settings, run, accelerator
        chosen = settings.training
        device = accelerator.device
        classes = len(data.classes) if settings.model.conditional else 0
        self._build = functools.partial(build, settings, data.pictures.shape[1], len(data.classes))
        vae, critic = self._build()
        vae.to(device).in_fast_order()
        self.average = Average(vae, chosen.ema_images)
        optimizer = make_optimizer(vae, chosen.lr, chosen.betas, chosen.weight_decay)
        model, optimizer = accelerator.prepare(vae, optimizer)
        self.networks = Networks(model, optimizer)
        if critic is not None and settings.adversary is not None:
            channels_last(critic.to(device))
            opponent = make_optimizer(critic, settings.adversary.lr, settings.adversary.betas)
            self.networks.critic, self.networks.critic_optimizer = accelerator.prepare(
                critic, opponent
            )
            # The step decides on its precision: with penalties it runs in float32.
            accelerator.unwrap_model(self.networks.critic, keep_fp32_wrapper=False)
        self.vae: VAE = accelerator.unwrap_model(model)
        self.running = RunningGaussian(
            self.vae.top_dim, settings.prior.decay_images, num_classes=max(1, classes)
        ).to(device)
        self.batches = Batches(
            data,
            size=settings.data.size,
            mirror=settings.data.mirror,
            crop=settings.data.crop,
            seed=settings.seed,
            device=device,
            device_cache=settings.data.device_cache,
        )
        self.step = Step(settings, self.networks, self.batches, self.running, accelerator)
        self.snapshots = Snapshots(settings, run, data, self.batches, _shares(data, classes))
        self.best = Best(self.snapshots, device)
        self.watch = Watch(self.step, data)
        self.rungs = RungWatch(self.step, data)
        self.metrics = MetricsFile(run.metrics)
        self.images, self.skipped = 0, 0

    @property
    def _beside(self) -> dict[str, torch.nn.Module]:
        beside: dict[str, torch.nn.Module] = {
            "average": self.average,
            "running_prior": self.running,
            "schedule": self.step.schedule,
        }
        adversary = self.step.adversary
        if adversary is not None and adversary.averages is not None and adversary.averages.kept:
            beside["adversary_means"] = adversary.averages
        beside[guard.FILE] = self.step.guard
        beside |= self.step.steady.kept()
        if self.step.augment is not None and self.step.augment.adaptive:
            beside["augment"] = self.step.augment
        return beside if self.step.balance is None else beside | {"balance": self.step.balance}

    def resume(self) -> None:
        """Continues from the newest checkpoint, if there is one."""
        newest = checkpoint.latest(self.run.checkpoints)
        if newest is not None:
            self.images = checkpoint.load(self.accelerator, newest, self._beside)
            log.info("continuing from %s images", f"{self.images:,}")
        if self.accelerator.is_main_process:
            self.best.scores.rewind(self.images)
            self._rewind()

    def _rewind(self) -> None:
        """Forgets what was told after the images that are seen by now."""
        self.metrics.rewind(self.images)
        self.watch.forget()
        self.rungs.forget()
        if self.metrics.path.exists():
            for line in self.metrics.read():
                self.watch.alarm.hear(line)  # what was said before is not said again
                self.rungs.hear(line)

    def fit(self) -> Outcome:
        """Trains until all images are seen or a signal asks to stop; either way all is saved."""
        chosen = self.settings.training
        total = chosen.images
        begun, seen_before = time.monotonic(), self.images
        meters: dict[str, list[Tensor]] = {}
        measure = True
        with (
            Stop(self.accelerator) as stop,
            Progress(total, self.images, visible=self.accelerator.is_main_process) as progress,
        ):
            while self.images < total:
                number = self.images // chosen.batch_size
                factor = rate_factor(chosen, self.images + chosen.batch_size)
                self._set_rates(factor * self.step.guard.rate)
                for name, value in self.step(number, measure=measure).items():
                    meters.setdefault(name, []).append(value)
                before, self.images = self.images, self.images + chosen.batch_size
                self.average.update(self.vae, self.images, chosen.batch_size)
                trouble = self.step.guard.trouble(number, last=self.images >= total)
                if trouble is not None:
                    self._go_back("; ".join(filter(None, (trouble, self._suspects()))))
                    meters, measure = {}, True
                    begun, seen_before = time.monotonic(), self.images
                    continue
                measure = _crossed(chosen.tick, before, self.images) or self.images >= total
                if measure:
                    if self.accelerator.device.type == "cpu":
                        hold_memory()
                    speed = (self.images - seen_before) / (time.monotonic() - begun)
                    progress.say(self._tick(meters, speed, number))
                    meters = {}
                progress.show(self.images)
                stopping = stop.asked(number)
                if stopping:
                    break
                if self.images < total and _crossed(chosen.snapshot, before, self.images):
                    self._snapshot(final=False)
                if self.images < total and _crossed(chosen.checkpoint, before, self.images):
                    self._checkpoint()
            # Still deaf to further signals: this is the save that they asked for.
            self._checkpoint()
        finished = self.images >= total
        if finished or not self.run.model.exists():
            self._snapshot(final=finished, scored=finished)
        return Outcome(self.images, finished, stop.signal)

    def _go_back(self, trouble: str) -> None:
        """Restores a good checkpoint, or the beginning, to go on at a lower rate.

        The lowered rate is saved at once: a training that is killed here goes on with it.

        Raises:
            UserError: this was done often enough.
        """
        watch, here = self.step.guard, self.images
        watch.give_up(trouble)
        before = {name: value.clone() for name, value in watch.state_dict().items()}
        way = watch.way_back(checkpoint.saved(self.run.checkpoints), here)
        if way is not None:
            self.images = checkpoint.load(self.accelerator, way, self._beside)
        else:
            self._begin_again()
        watch.went_back(before, here)
        checkpoint.drop_after(self.accelerator, self.run.checkpoints, self.images)
        self._checkpoint()
        if self.accelerator.is_main_process:
            self._rewind()
            log.warning(
                "training diverged at %s images (%s): back to %s images, at %g of the learning "
                "rate",
                f"{here:,}",
                trouble,
                f"{self.images:,}",
                watch.rate,
            )

    def _begin_again(self) -> None:
        """Puts everything back to where the run began."""
        vae, critic = self._build()
        self.vae.load_state_dict(vae.state_dict())
        if critic is not None and self.networks.critic is not None:
            own = self.accelerator.unwrap_model(self.networks.critic)
            own.load_state_dict(critic.state_dict())
        for optimizer in (self.networks.model_optimizer, self.networks.critic_optimizer):
            if optimizer is not None:
                getattr(optimizer, "optimizer", optimizer).state.clear()
        classes, dim = self.running.means.shape
        fresh: dict[str, torch.nn.Module] = {
            "average": Average(vae, self.settings.training.ema_images),
            "running_prior": RunningGaussian(
                dim, self.settings.prior.decay_images, num_classes=classes
            ),
            guard.FILE: guard.Guard(self.settings),
            "schedule": Schedule(self.settings.training.images),
        }
        fresh |= Steady.of(self.settings.model, vae).kept()
        chosen = self.settings.adversary
        if chosen is not None and critic is not None:
            fresh["balance"] = Balance(chosen)
            fresh["augment"] = AugmentProbability(chosen)
            fresh["adversary_means"] = Averages(chosen, critic)
        for name, module in self._beside.items():
            module.load_state_dict(fresh[name].state_dict())
        self.images = 0

    def _set_rates(self, factor: float) -> None:
        for optimizer, rate in (
            (self.networks.model_optimizer, self.settings.training.lr),
            (
                self.networks.critic_optimizer,
                self.settings.adversary.lr if self.settings.adversary else 0.0,
            ),
        ):
            if optimizer is not None:
                for group in optimizer.param_groups:
                    group["lr"] = rate * factor

    def _tick(self, meters: dict[str, list[Tensor]], speed: float, number: int) -> dict[str, float]:
        """Writes a line of metrics; but for snapshots and saves nothing else waits for a GPU."""
        names = sorted(meters)
        means = torch.stack([_mean_of_finite(torch.stack(meters[name])) for name in names])
        if self.accelerator.num_processes > 1:
            means = self.accelerator.reduce(means, "mean")
        found = zip(names, means.tolist(), strict=True)
        # The same on every process, so that all of them ask for what was not finite.
        skipped = int(self.step.guard.skipped)
        suspects = self._suspects() if skipped > self.skipped else ""
        self.skipped = skipped
        line = {name: value for name, value in found if math.isfinite(value)}
        line = {
            "images": self.images,
            "time": round(time.time(), 3),
            "images_per_second": round(speed, 2),
            "learning_rate": self.networks.model_optimizer.param_groups[0]["lr"],
            "skipped_steps": skipped,
            "restores": self.step.guard.restores,
            **{name: float(f"{value:.6g}") for name, value in line.items()},
        }
        if self.accelerator.is_main_process:
            line |= self.watch(number) | self.rungs()
            self.metrics.append(line)
            if suspects:
                suspects = f"steps before {self.images:,} images were skipped; {suspects}"
            for warning in (suspects, self.watch.alarm.hear(line), self.rungs.hear(line)):
                if warning:
                    log.warning("%s", warning)
        if self.step.augment is not None and self.step.augment.adaptive:
            # Only the main process looks; none may augment more often than the others.
            seen = self.accelerator.is_main_process and self.watch.alarm.by_heart
            by_heart = torch.tensor(float(seen), device=means.device)
            self.step.augment.watched(self.accelerator.reduce(by_heart, "sum"))
        self.accelerator.log({k: v for k, v in line.items() if k != "time"}, step=self.images)
        return line

    def _suspects(self) -> str:
        """Returns in words what was not finite; all processes ask at the same step."""
        # A gradient scaler tries how far it can go: that gradients overflow then is its way.
        gradients = self.accelerator.scaler is None
        return self.step.suspects.words(self.accelerator.num_processes, gradients=gradients)

    def _snapshot(self, *, final: bool, scored: bool = True) -> None:
        if self.accelerator.is_main_process:
            model = self.average.model
            used = self.snapshots.take(model, self._prior(model, final, scored), self.images)
            shapes = self.vae.latent_shapes
            if len(shapes) > 1 and self.settings.model.stochastic and self.metrics.path.exists():
                draw_rungs(self.metrics.read(), shapes, self.run.rungs)
            if scored:
                self.best.consider(used, final=final)
        self.accelerator.wait_for_everyone()

    def _prior(self, model: VAE, final: bool, scored: bool) -> Density:
        """Returns the prior of a snapshot: what samples come from.

        The fit to the latents; or the running fit, where the critic was shown samples of that and
        those of the averaged model lie nearer to held-out pictures. The decoder learnt to make
        these pass, while latents like those of real pictures come out as pale as reconstructions.

        One that ends a training that was told to stop is not scored: nobody waits for the latents
        of thousands of pictures then. Before the end there may be none yet, and a training that is
        about to go back has broken ones.
        """
        self.best.running = running = running_density(self.running, self.snapshots.shares)
        if not scored or self.settings.prior.kind == "running":
            return running
        try:
            fitted = self.snapshots.fitted(model, quick=not final)
        except UserError as error:
            if final:
                raise
            log.warning("at %s images %s", f"{self.images:,}", error)
            return running
        chosen, training = self.settings.adversary, self.settings.training
        if chosen is None or "fitted" not in chosen.fakes or self.settings.prior.kind != "auto":
            return fitted
        last = self.images - training.batch_size
        if adversary_share(chosen, self.step.schedule.share(last)) is None:
            return fitted  # the critic has seen nothing yet
        return self.best.nearer(model, fitted, running, self.images)

    def _checkpoint(self) -> None:
        checkpoint.save(self.accelerator, self.run.checkpoints, self.images, self._beside)


def _mean_of_finite(values: Tensor) -> Tensor:
    """Returns the mean ``()`` of a tick's values ``(n,)`` without those of broken steps."""
    values = values.float()
    finite = values.isfinite()
    rest = torch.where(finite, values, 0).sum() / finite.sum()  # NaN if none is
    return torch.where(finite.all(), values.mean(), rest)


def _shares(data: PictureData, classes: int) -> tuple[float, ...]:
    """Returns how frequent each label is among the training pictures."""
    if not classes or data.labels is None:
        return ()
    counts = np.bincount(np.asarray(data.labels)[data.train], minlength=classes)
    return tuple((counts / counts.sum()).tolist())
