"""Picture models of other packages at a given number of parameters, where they are installed.

Runs in a package's own environment and needs torch and the package alone; `throughput` starts it.

Usage:
    python benchmarks/rivals.py "pythae VAE" --asked '{"side": 32, ...}' --out DIR
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from clocks import alone
from command_line import parser_of
from peer import ABSENT
from torch import Tensor, nn

WIDTHS = range(8, 1025, 8)
FIGURES = "figures.json"


@dataclass(frozen=True)
class Asked:
    """What is to be measured of a rival.

    Attributes:
        task: training, or sampling.
        side: of the pictures.
        batch: pictures at a time.
        parameters: that it should have.
        lr: of its training.
        repeats: of which the first two do not count.
        device: where.
    """

    task: str
    side: int
    batch: int
    parameters: int
    lr: float
    repeats: int
    device: str


@dataclass(frozen=True)
class Rival:
    """A model of another package.

    Attributes:
        package: name under which it is imported.
        install: name under which pip finds it.
        make: (side, width) -> the network.
        loss: (network, pictures in [-1, 1] ``(N, 3, S, S)``) -> what it is trained by, a scalar.
        draw: (network, count, side) -> new pictures.
    """

    package: str
    install: str
    make: Callable[[int, int], nn.Module]
    loss: Callable[[Any, Tensor], Tensor]
    draw: Callable[[Any, int, int], Tensor]

    def absent(self) -> str | None:
        """Returns why it cannot be measured here, or None."""
        if find_spec(self.package) is None:
            return f"not measured: {self.package} is not installed (pip install {self.install})"
        return None

    def of_size(self, side: int, parameters: int) -> tuple[nn.Module, int]:
        """Returns the network whose parameters are nearest in number, and that number."""
        low, high = 0, len(WIDTHS) - 1
        while low < high:  # the number grows with the width
            middle = (low + high) // 2
            if self._count(side, WIDTHS[middle]) < parameters:
                low = middle + 1
            else:
                high = middle
        near = [WIDTHS[i] for i in (low - 1, low) if i >= 0]
        width = min(near, key=lambda w: abs(self._count(side, w) - parameters))
        return self.make(side, width), self._count(side, width)

    def figures(self, asked: Asked) -> dict[str, Any]:
        """Returns its seconds, memory and operations."""
        network, count = self.of_size(asked.side, asked.parameters)
        network = network.to(asked.device)
        optimizer = torch.optim.Adam(network.parameters(), asked.lr)
        pictures = torch.rand(4 * asked.batch, 3, asked.side, asked.side) * 2 - 1

        def train(_: int) -> None:
            images = pictures[torch.randint(0, len(pictures), (asked.batch,))].to(asked.device)
            self.loss(network, images).backward()
            optimizer.step()
            optimizer.zero_grad()

        @torch.no_grad()
        def sample(_: int) -> None:
            self.draw(network.eval(), asked.batch, asked.side).cpu()

        run = train if asked.task == "training" else sample
        found = alone(asked.task, run, asked.repeats, asked.device, asked.batch)
        return {"parameters": count} | found

    def _count(self, side: int, width: int) -> int:
        with torch.device("meta"):
            return sum(p.numel() for p in self.make(side, width).parameters())


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


def _flat(side: int, width: int) -> nn.Module:
    from pythae.models import VAE, VAEConfig

    return VAE(VAEConfig(input_dim=(3, side, side), latent_dim=width))


def _flat_draw(network: Any, count: int, side: int) -> Tensor:
    device = next(network.parameters()).device
    return network.decoder(torch.randn(count, network.latent_dim, device=device)).reconstruction


RIVALS = {
    "diffusers AutoencoderKL": Rival("diffusers", "diffusers", _kl_autoencoder, _kl_loss, _kl_draw),
    "denoising-diffusion-pytorch, 50 steps": Rival(
        "denoising_diffusion_pytorch",
        "denoising-diffusion-pytorch",
        _diffusion,
        lambda network, pictures: network((pictures + 1) / 2),
        lambda network, count, side: network.sample(batch_size=count),
    ),
    "pythae VAE": Rival(
        "pythae",
        "pythae",
        _flat,
        lambda network, pictures: network({"data": (pictures + 1) / 2}).loss,
        _flat_draw,
    ),
}


def main(words: Sequence[str] | None = None) -> int:
    """Measures a rival, or says in a file why it cannot be and ends with 3."""
    parser = parser_of(__doc__)
    parser.add_argument("name")
    parser.add_argument("--asked", type=json.loads, help="JSON; without: only whether it is there")
    parser.add_argument("--out", type=Path, required=True, help="folder of the figures")
    chosen = parser.parse_args(words)
    rival = RIVALS[chosen.name]
    reason = rival.absent()
    if reason is not None:
        (chosen.out / ABSENT).write_text(json.dumps({"reason": reason}), encoding="utf-8")
        return 3
    if chosen.asked is not None:
        found = json.dumps(rival.figures(Asked(**chosen.asked)))
        (chosen.out / FIGURES).write_text(found, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
