"""A training step as textbooks write it, on the same networks: what the package is held against.

The memory format and the optimiser are those that PyTorch takes by itself, nothing is averaged, and
the critic judges twice: once for itself, once more, when it has learned, for the model.
"""

import math
from collections.abc import Callable

import torch

from hiresvae.adversary.adversary import Adversary
from hiresvae.seeding import Noise, Shard
from hiresvae.settings import Settings
from hiresvae.training.objective import Fakes, bound_loss
from hiresvae.training.trainer import build

CLASSES = 8
"""Labels of a conditional model whose pictures are noise."""


def plain_step(settings: Settings, device: str) -> tuple[Callable[[int], None], int]:
    """Returns what does step ``number``, and the number of parameters that it trains."""
    batch, side = settings.training.batch_size, settings.data.size
    classes = CLASSES if settings.model.conditional else 0
    model, critic = build(settings, 3, classes)
    networks = [part.to(device) for part in (model, critic) if part is not None]
    optimizers = [torch.optim.Adam(part.parameters(), settings.training.lr) for part in networks]
    pictures = torch.rand(4 * batch, 3, side, side) * 2 - 1
    labels = torch.randint(0, classes, (batch,), device=device) if classes else None
    adversary = Adversary(settings.adversary) if settings.adversary else None
    dim = math.prod(model.latent_shapes[0])

    def step(number: int) -> None:
        noise = Noise(0, number, Shard(batch, 0, batch), torch.device(device))
        images = pictures[torch.randint(0, len(pictures), (batch,))].to(device)
        if adversary is None or critic is None or settings.adversary is None:
            outputs = model(images, labels, noise=noise.normal)
            bound_loss(outputs, images[0].numel(), 1.0, 0.0).backward()
        else:
            fakes = Fakes.of_rows(list(settings.adversary.fakes), 0, batch, images.device)
            top = torch.randn(len(fakes.sampled), dim, device=device)
            top_labels = None if labels is None else labels[fakes.sampled]
            outputs = model(images, labels, noise=noise.normal, top=top, top_labels=top_labels)
            mixed = fakes.mix(outputs)
            penalty = number % settings.adversary.penalty_every == 0
            given = {"paired": fakes.paired, "noise": noise}
            verdict = adversary.judge(
                critic, images, mixed.detach(), labels, penalty=penalty, **given
            )
            adversary.critic_loss(verdict).backward(inputs=list(critic.parameters()))
            optimizers[1].step()
            optimizers[1].zero_grad()
            again = adversary.judge(critic, images, mixed.detach(), labels, penalty=False, **given)
            (push,) = torch.autograd.grad(adversary.model_loss(again, 1.0), again.fakes)
            loss = bound_loss(outputs, images[0].numel(), 1.0, 0.0)
            (loss + (mixed * push).sum()).backward()
        optimizers[0].step()
        optimizers[0].zero_grad()

    return step, sum(p.numel() for part in networks for p in part.parameters())
