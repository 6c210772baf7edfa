"""Picture models of other packages at a given number of parameters, where they are installed.

Runs in a package's own environment and needs torch and the package alone; `throughput` starts it
and asks for a turn at a time.

- diffusers AutoencoderKL, denoising-diffusion-pytorch's U-Net: of the width whose parameters are
  nearest in number.
- pythae VAE, VAEGAN: by its convolutional networks, for 32 and 64 px. These come in one size. The
  VAEGAN's three losses are taken by its trainer's own optimisers and its own step.

Usage:
    python benchmarks/rivals.py "pythae VAE" --asked '{"side": 32, ...}' --out DIR
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from clocks import Clock, Here, Work
from command_line import parser_of
from peer import ABSENT
from peer_packages import pythae_networks
from rounds import told
from torch import Tensor, nn
from workers import serve

WIDTHS = range(8, 1025, 8)
LATENTS = 64
"""Of pythae's networks, which have no other choice; it hardly moves their parameters."""
MOST_SIDE, NEAR = 256, 0.25


@dataclass(frozen=True)
class Asked:
    """What is to be measured of a rival.

    Attributes:
        side: of the pictures.
        batch: pictures at a time.
        parameters: that it should have.
        lr: of its training.
        repeats: in a turn.
        seconds: after which a turn repeats no more; a batch that takes longer is drawn in parts.
        device: where.
    """

    side: int
    batch: int
    parameters: int
    lr: float
    repeats: int
    seconds: float
    device: str


Step = Callable[[Tensor], None]
"""Trains on pictures in [-1, 1] ``(N, 3, S, S)``."""


@dataclass(frozen=True)
class Rival:
    """A model of another package.

    Attributes:
        package: name under which it is imported.
        install: name under which pip finds it.
        make: (side, width) -> the network.
        steps: (network, rate) -> its training step.
        draw: (network, count, side) -> new pictures.
        widths: that it may have, ascending.
        divisor: of the sides that it takes.
    """

    package: str
    install: str
    make: Callable[[int, int], nn.Module]
    steps: Callable[[Any, float], Step]
    draw: Callable[[Any, int, int], Tensor]
    widths: Sequence[int] = WIDTHS
    divisor: int = 1

    def absent(self) -> str | None:
        """Returns why it cannot be measured here, or None."""
        if find_spec(self.package) is None:
            return f"not measured: {self.package} is not installed (pip install {self.install})"
        return None

    def refuses(self, side: int) -> str | None:
        """Returns why it is not to be tried at a side, or None."""
        if side > MOST_SIDE:
            return (
                f"not measured above {MOST_SIDE} px: it attends from each position to each, or has "
                "dense layers, and may take all memory"
            )
        if side % self.divisor:
            return f"it needs a side divisible by {self.divisor}"
        return None

    def of_size(self, side: int, parameters: int) -> "Sized":
        """Returns the network whose parameters are nearest in number.

        Raises:
            AbsentError: it has none for this side.
        """
        low, high = 0, len(self.widths) - 1
        while low < high:  # the number grows with the width
            middle = (low + high) // 2
            if self._count(side, self.widths[middle]) < parameters:
                low = middle + 1
            else:
                high = middle
        near = [self.widths[i] for i in (low - 1, low) if i >= 0]
        width = min(near, key=lambda w: abs(self._count(side, w) - parameters))
        count = self._count(side, width)
        words = ["its networks come in one size"] if len(self.widths) == 1 else []
        if abs(count / parameters - 1) > NEAR:
            words.append(f"{count / parameters:.2f} times the parameters of our VAE")
        return Sized(partial(self.make, side, width), count, ", ".join(words) or None)

    def contestant(self, task: str, asked: Asked) -> Here:
        """Returns what measures its training or its sampling."""

        def prepare() -> Callable[[], Work]:
            sized = self.of_size(asked.side, asked.parameters)
            if task == "sampling":
                return lambda: _Sampling(self, sized, asked)
            pictures = torch.rand(4 * asked.batch, 3, asked.side, asked.side) * 2 - 1
            return lambda: _Training(self, sized, asked, pictures)

        return Here(prepare, asked.device, asked.repeats, asked.seconds)

    def _count(self, side: int, width: int) -> int:
        with torch.device("meta"):
            return sum(p.numel() for p in self.make(side, width).parameters())


@dataclass(frozen=True)
class Sized:
    """A network of a chosen size.

    Attributes:
        make: () -> the network.
        parameters: of it.
        note: how far off they are, where that is more than a quarter, and why.
    """

    make: Callable[[], nn.Module]
    parameters: int
    note: str | None


class _Training(Work):
    def __init__(self, rival: Rival, sized: Sized, asked: Asked, pictures: Tensor) -> None:
        self.parameters, self.note, self.batch = sized.parameters, sized.note, asked.batch
        self._device, self._pictures = asked.device, pictures
        self._step = rival.steps(sized.make().to(asked.device), asked.lr)

    def once(self, clock: Clock) -> None:
        with clock("step"):
            rows = torch.randint(0, len(self._pictures), (self.batch,))
            self._step(self._pictures[rows].to(self._device))


class _Sampling(Work):
    def __init__(self, rival: Rival, sized: Sized, asked: Asked) -> None:
        self.parameters, self.note = sized.parameters, sized.note
        network = sized.make().to(asked.device).eval()
        self._draw = partial(rival.draw, network)
        self._side = asked.side
        self.batch = 1
        while self.batch < asked.batch and 2 * self._seconds() < asked.seconds:
            self.batch = min(asked.batch, 2 * self.batch)
        self.comparable = self.batch == asked.batch
        if not self.comparable:
            drawn = f"{self.batch} drawn at a time, not {asked.batch}: that takes too long"
            self.note = f"{self.note}; {drawn}" if self.note else drawn

    def _seconds(self) -> float:
        begun = time.perf_counter()
        self.once(Clock())
        return time.perf_counter() - begun

    @torch.no_grad()
    def once(self, clock: Clock) -> None:
        with clock("pictures"):
            self._draw(self.batch, self._side).cpu()


def by_loss(loss: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, float], Step]:
    """Returns the steps of a network that one loss and Adam train.

    Args:
        loss: (network, pictures in [-1, 1] ``(N, 3, S, S)``) -> a scalar.
    """

    def steps(network: Any, lr: float) -> Step:
        optimizer = torch.optim.Adam(network.parameters(), lr)

        def step(pictures: Tensor) -> None:
            loss(network, pictures).backward()
            optimizer.step()
            optimizer.zero_grad()

        return step

    return steps


def _kl_autoencoder(side: int, width: int) -> nn.Module:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(width, 2 * width, 4 * width, 4 * width),
        latent_channels=4,
        norm_num_groups=8,
        sample_size=side,
    )


def _kl_loss(network: Any, pictures: Tensor) -> Tensor:
    posterior = network.encode(pictures).latent_dist
    again = network.decode(posterior.sample()).sample
    return (again - pictures).square().sum() / len(pictures) + posterior.kl().mean()


def _kl_draw(network: Any, count: int, side: int) -> Tensor:
    device = next(network.parameters()).device
    return network.decode(torch.randn(count, 4, side // 8, side // 8, device=device)).sample


def _diffusion(side: int, width: int) -> nn.Module:
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet

    unet = Unet(dim=width, dim_mults=(1, 2, 4), flash_attn=False)
    return GaussianDiffusion(unet, image_size=side, timesteps=1000, sampling_timesteps=50)


def _pythae_vae(side: int, latents: int) -> nn.Module:
    encoder, decoder, _ = pythae_networks(side)
    from pythae.models import VAE, VAEConfig

    config = VAEConfig(input_dim=(3, side, side), latent_dim=latents)
    return VAE(config, encoder=encoder(config), decoder=decoder(config))


def _pythae_vaegan(side: int, latents: int) -> nn.Module:
    encoder, decoder, critic = pythae_networks(side)
    from pythae.models import VAEGAN, VAEGANConfig

    config = VAEGANConfig(input_dim=(3, side, side), latent_dim=latents)
    return VAEGAN(config, encoder(config), decoder(config), critic(config))


def _pythae_coupled(network: Any, lr: float) -> Step:
    """Returns the step of pythae's own trainer, of which nothing else is wanted."""
    from pythae.trainers import CoupledOptimizerAdversarialTrainer as Trainer
    from pythae.trainers import CoupledOptimizerAdversarialTrainerConfig as Config

    rates = ("encoder_learning_rate", "decoder_learning_rate", "discriminator_learning_rate")
    trainer = Trainer.__new__(Trainer)
    trainer.model, trainer.distributed = network, False
    trainer.training_config = Config(**dict.fromkeys(rates, lr))
    trainer.set_encoder_optimizer()
    trainer.set_decoder_optimizer()
    trainer.set_discriminator_optimizer()

    def step(pictures: Tensor) -> None:
        trainer._optimizers_step(network({"data": (pictures + 1) / 2}))

    return step


def _pythae_draw(network: Any, count: int, side: int) -> Tensor:
    device = next(network.parameters()).device
    return network.decoder(torch.randn(count, network.latent_dim, device=device)).reconstruction


RIVALS = {
    "diffusers AutoencoderKL": Rival(
        "diffusers", "diffusers", _kl_autoencoder, by_loss(_kl_loss), _kl_draw, divisor=8
    ),
    "denoising-diffusion-pytorch, 50 steps": Rival(
        "denoising_diffusion_pytorch",
        "denoising-diffusion-pytorch",
        _diffusion,
        by_loss(lambda network, pictures: network((pictures + 1) / 2)),
        lambda network, count, side: network.sample(batch_size=count),
        divisor=4,
    ),
    "pythae VAE": Rival(
        "pythae",
        "pythae",
        _pythae_vae,
        by_loss(lambda network, pictures: network({"data": (pictures + 1) / 2}).loss),
        _pythae_draw,
        widths=(LATENTS,),
    ),
    "pythae VAEGAN": Rival(
        "pythae",
        "pythae",
        _pythae_vaegan,
        _pythae_coupled,
        _pythae_draw,
        widths=(LATENTS,),
    ),
}


def main(words: Sequence[str] | None = None) -> int:
    """Measures a rival turn by turn, or says in a file why it cannot be and ends with 3."""
    parser = parser_of(__doc__)
    parser.add_argument("name")
    parser.add_argument("--asked", type=json.loads, help="JSON; without: only whether it is there")
    parser.add_argument("--out", type=Path, required=True, help="folder of what it says")
    chosen = parser.parse_args(words)
    rival = RIVALS[chosen.name]
    reason = rival.absent()
    if reason is not None:
        (chosen.out / ABSENT).write_text(json.dumps({"reason": reason}), encoding="utf-8")
        return 3
    if chosen.asked is not None:
        serve(answers(rival, Asked(**chosen.asked)))
    return 0


def answers(rival: Rival, asked: Asked) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Returns what makes ready for a task, and takes turns at it.

    It is asked ``{"task": "training" or "sampling", "do": "ready" or "turn"}``. One task at a time
    is in memory.
    """
    at_work: dict[str, Here] = {}

    def answer(wanted: dict[str, Any]) -> dict[str, Any]:
        task = wanted["task"]
        if wanted["do"] == "ready":
            at_work.clear()
            at_work[task] = rival.contestant(task, asked)
            return told(at_work[task].ready)
        return told(at_work[task].turn)

    return answer


if __name__ == "__main__":
    sys.exit(main())
