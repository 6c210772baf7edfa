"""The AutoencoderKL of diffusers, trained by the objective of its example, whose faults are mended.

Squared error and LPIPS summed over each picture, 1e-6 times the KL, and a hinge critic of patches
whose weight is the ratio of both gradients at the decoder's last layer; the critic and the
autoencoder take turns. Source: diffusers, examples/research_projects/autoencoderkl.

Mended of the example (the first in later versions of it):

- the critic's loss is stepped upon, not only told;
- LPIPS has a gradient: in the example it is under ``no_grad``. It is left out, and that is told,
  where the package lpips or its VGG-16 is not on this machine, as nothing is downloaded;
- the critic's step sees detached reconstructions and clears only gradients of its own;
- the critic joins after a quarter of the seconds: step 50,001 is out of reach of short trainings;
- trained from the beginning, so at 2e-4 in batches of 16, not 4.5e-6 in batches of 4, which are for
  weights that are trained already; its networks are narrower than Stable Diffusion's, whose 84
  million parameters would see few pictures in minutes;
- it has no prior to draw from (its latents are far from N(0, I)): a normal distribution is fitted
  to the latents of training pictures at each mark.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from peer import BATCH, AbsentError, Task, Watch, in_batches, versions
from torch import Tensor, nn

KL, PERCEPTUAL, CLIP, SHRINK = 1e-6, 0.5, 1.0, 8
FITTED = 4096
"""Pictures to whose latents the normal distribution is fitted, at most."""


def train(task: Task, watch: Watch) -> None:
    """Trains until the watch ends it.

    Raises:
        AbsentError: pictures of this side cannot be encoded.
    """
    from diffusers import AutoencoderKL

    if task.side % SHRINK or task.side < 2 * SHRINK:
        raise AbsentError(f"it needs a side divisible by {SHRINK}, and {task.side} px is none")
    width = task.option("width", 32)
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(width, 2 * width, 4 * width, 4 * width),
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=task.side,
    ).to(task.device)
    critic = patch_critic(task.side).to(task.device)
    perceptual = lpips_on_disk(task.device)
    lr, batch = task.option("lr", 2e-4), task.option("batch", 16)
    optimizers = [
        torch.optim.AdamW(part.parameters(), lr=lr, betas=(0.9, 0.999), weight_decay=1e-2)
        for part in (model, critic)
    ]
    pictures = 2 * task.floats() - 1
    facts: dict[str, Any] = {"width": width, "versions": versions("diffusers", "lpips")}
    if perceptual is None:
        facts["notes"] = ["without LPIPS: its weights are not on this machine"]

    def draw(count: int) -> Tensor:
        prior = fitted(model, pictures[torch.randperm(len(pictures))[:FITTED]], task.device)
        shape = (-1, 4, task.side // SHRINK, task.side // SHRINK)

        def some(n: int) -> Tensor:
            latents = prior.sample((n,)).float().reshape(shape)
            return (model.decode(latents.to(task.device)).sample + 1) / 2

        return in_batches(count, some)

    watch.begin(model, draw, batch, lr, **facts)
    while True:
        for rows in torch.randperm(len(pictures)).split(batch):
            real = pictures[rows].to(task.device)
            joined = watch.seconds() >= task.option("critic_from", 0.25) * task.seconds
            if joined and watch.steps % 2:
                critic_step(model, critic, real, optimizers[1])
            else:
                model_step(model, critic if joined else None, perceptual, real, optimizers[0])
            watch.step(len(rows))


def model_step(
    model: Any,
    critic: nn.Module | None,
    perceptual: nn.Module | None,
    real: Tensor,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Steps the autoencoder.

    Args:
        model: the autoencoder.
        critic: None while it has not joined.
        perceptual: LPIPS, or None.
        real: pictures in [-1, 1] ``(N, 3, S, S)``.
        optimizer: of the autoencoder.
    """
    posterior = model.encode(real).latent_dist
    again = model.decode(posterior.sample()).sample
    error = (again - real).square()
    if perceptual is not None:
        error = error + PERCEPTUAL * perceptual(again, real)
    error = error.sum() / len(real)
    loss = error + KL * posterior.kl().mean()
    if critic is not None:
        critic.requires_grad_(False)
        adversarial = -critic(again).mean()
        critic.requires_grad_(True)
        last = model.decoder.conv_out.weight
        norms = [
            torch.autograd.grad(term, last, retain_graph=True)[0].norm()
            for term in (error, adversarial)
        ]
        weight = (norms[0] / (norms[1] + 1e-4)).clamp(0, 1e4).detach()
        loss = loss + weight * adversarial
    _step(loss, model, optimizer)


def critic_step(
    model: Any, critic: nn.Module, real: Tensor, optimizer: torch.optim.Optimizer
) -> None:
    """Steps the critic by the hinge loss on pictures ``(N, 3, S, S)`` and their reconstructions."""
    with torch.no_grad():
        again = model.decode(model.encode(real).latent_dist.sample()).sample
    loss = 0.5 * (F.relu(1 - critic(real)).mean() + F.relu(1 + critic(again)).mean())
    _step(loss, critic, optimizer)


def _step(loss: Tensor, part: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(part.parameters(), CLIP)
    optimizer.step()


def patch_critic(side: int) -> nn.Sequential:
    """Returns the critic of patches; below 32 px with a layer less, or nothing would be left.

    Source: Isola et al. 2017, Image-to-image translation with conditional adversarial networks.
    """
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 4, 2, 1), nn.LeakyReLU(0.2)]
    depth, channels = (3 if side >= 32 else 2), 64
    for i in range(1, depth + 1):
        wider = min(64 * 2**i, 512)
        stride = 2 if i < depth else 1
        layers += [
            nn.Conv2d(channels, wider, 4, stride, 1, bias=False),
            nn.BatchNorm2d(wider),
            nn.LeakyReLU(0.2),
        ]
        channels = wider
    critic = nn.Sequential(*layers, nn.Conv2d(channels, 1, 4, 1, 1))
    for layer in critic:
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, 0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1, 0.02)
    return critic


def lpips_on_disk(device: str) -> nn.Module | None:
    """Returns LPIPS by VGG-16, or None where that would have to be downloaded."""
    weights = Path(torch.hub.get_dir()) / "checkpoints" / "vgg16-397923af.pth"
    if find_spec("lpips") is None or not weights.is_file():
        return None
    from lpips import LPIPS

    return LPIPS(net="vgg", verbose=False).eval().requires_grad_(False).to(device)


def fitted(model: Any, pictures: Tensor, device: str) -> torch.distributions.MultivariateNormal:
    """Returns the normal distribution of latents of pictures ``(N, 3, S, S)``, on the CPU."""
    found = []
    for part in pictures.split(BATCH):
        found.append(model.encode(part.to(device)).latent_dist.sample().flatten(1).cpu().double())
    latents = torch.cat(found)
    mean, dim = latents.mean(0), latents.shape[1]
    spread = torch.cov(latents.T) if len(latents) > 1 else torch.zeros(dim, dim).double()
    # Fewer pictures than dimensions leave directions without any spread.
    ridge = 1e-4 * spread.diagonal().mean().clamp_min(1e-6) * torch.eye(dim).double()
    return torch.distributions.MultivariateNormal(mean, spread + ridge)
