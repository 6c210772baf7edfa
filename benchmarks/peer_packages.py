"""How each other package trains its own model, by its own trainer and its own defaults.

Where a choice is the user's own, it is made in the package's favour, and told in what is kept.

- pythae: its convolutional networks for pictures of 32 and of 64 px, its `TrainingPipeline`. The
  clock stops it from a callback. Samples are of its mixture of Gaussians, fitted at each mark,
  which does better than N(0, I). The sign of VAEGAN's adversarial term is as it ships.
- denoising-diffusion-pytorch: its `Trainer`, without the samples and scores that this makes in the
  midst of a training. Samples are of the averaged weights, by DDIM.
- diffusers: see `peer_autoencoder`.
- lightweight-gan, stylegan2-pytorch: their `Trainer`, by the defaults of their command lines,
  without what these write in the midst of a training. Both average their weights from step 20,000
  on; before, samples are of the weights themselves.
"""

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from peer import BATCH, AbsentError, Task, Watch, in_batches, versions
from torch import Tensor

NEVER = sys.maxsize
AVERAGED_FROM = 20_000
"""Steps from which the GANs' averaged weights are an average."""


@dataclass(frozen=True)
class Peer:
    """Another package.

    Attributes:
        package: name under which it is imported.
        install: name under which pip finds it.
        method: (task, watch) -> trains until the watch ends it.
        needs_cuda: whether it refuses to start without.
    """

    package: str
    install: str
    method: Callable[[Task, Watch], None]
    needs_cuda: bool = False

    def train(self, task: Task, watch: Watch) -> None:
        """Trains until the watch ends it.

        Raises:
            AbsentError: it is not installed, or needs what this machine has not.
        """
        if find_spec(self.package) is None:
            raise AbsentError(f"not installed (pip install {self.install})")
        if self.needs_cuda and not torch.cuda.is_available():
            raise AbsentError("it refuses to start without CUDA")
        self.method(task, watch)


def pythae_vae(task: Task, watch: Watch) -> None:
    """The plain VAE of pythae."""
    from pythae.models import VAE, VAEConfig
    from pythae.trainers import BaseTrainerConfig

    encoder, decoder, _ = pythae_networks(task.side)
    config = VAEConfig(
        input_dim=(3, task.side, task.side), latent_dim=task.option("latent_dim", 64)
    )
    model = VAE(config, encoder=encoder(config), decoder=decoder(config))
    _pythae(task, watch, model, BaseTrainerConfig, "learning_rate")


def pythae_vaegan(task: Task, watch: Watch) -> None:
    """The VAE-GAN of pythae."""
    from pythae.models import VAEGAN, VAEGANConfig
    from pythae.trainers import CoupledOptimizerAdversarialTrainerConfig

    encoder, decoder, critic = pythae_networks(task.side)
    side, latent = task.side, task.option("latent_dim", 64)
    config = VAEGANConfig(input_dim=(3, side, side), latent_dim=latent)
    model = VAEGAN(config, encoder(config), decoder(config), critic(config))
    _pythae(task, watch, model, CoupledOptimizerAdversarialTrainerConfig, "decoder_learning_rate")


def pythae_networks(side: int) -> tuple[Any, Any, Any]:
    """Returns the classes of encoder, decoder and critic."""
    if side == 32:
        from pythae.models.nn.benchmarks import cifar

        names = ("Encoder_Conv_VAE_CIFAR", "Decoder_Conv_AE_CIFAR", "Discriminator_Conv_CIFAR")
        home = cifar
    elif side == 64:
        from pythae.models.nn.benchmarks import celeba

        names = ("Encoder_Conv_VAE_CELEBA", "Decoder_Conv_AE_CELEBA", "Discriminator_Conv_CELEBA")
        home = celeba
    else:
        raise AbsentError(
            f"its convolutional networks are for colour pictures of 32 and 64 px, not of {side}"
        )
    encoder, decoder, critic = (getattr(home, name) for name in names)
    return encoder, decoder, critic


def _pythae(task: Task, watch: Watch, model: Any, config: Any, rate: str) -> None:
    from pythae.pipelines import TrainingPipeline
    from pythae.samplers import GaussianMixtureSampler
    from pythae.trainers.training_callbacks import TrainingCallback

    asked = config(
        output_dir=str(task.folder), num_epochs=NEVER, seed=task.seed, **task.option("trainer", {})
    )
    pictures = task.floats()
    batch = asked.per_device_train_batch_size

    def draw(count: int) -> Tensor:
        sampler = GaussianMixtureSampler(model)
        sampler.fit(pictures)
        return sampler.sample(count, batch_size=BATCH)

    class Clock(TrainingCallback):
        """Tells the watch of every step."""

        def __init__(self) -> None:
            self.sizes = _sizes(len(pictures), batch)

        def on_train_begin(self, training_config: Any, **given: Any) -> None:
            facts = {"latent_dim": model.latent_dim, "versions": versions("pythae")}
            watch.begin(model, draw, batch, getattr(asked, rate), **facts)

        def on_train_step_end(self, training_config: Any, **given: Any) -> None:
            watch.step(next(self.sizes))

    TrainingPipeline(model=model, training_config=asked)(pictures, callbacks=[Clock()])


def _sizes(count: int, batch: int) -> Iterator[int]:
    """Yields the pictures of each step of endless epochs whose last batch may be small."""
    of_epoch = [min(batch, count - first) for first in range(0, count, batch)]
    return itertools.cycle(of_epoch)


def denoising_diffusion(task: Task, watch: Watch) -> None:
    """Denoising diffusion by a U-Net."""
    from denoising_diffusion_pytorch import GaussianDiffusion, Trainer, Unet

    width, ddim = task.option("dim", 32), task.option("sampling_timesteps", 50)
    unet = Unet(dim=width, dim_mults=(1, 2, 4), flash_attn=False)
    model = GaussianDiffusion(unet, image_size=task.side, timesteps=1000, sampling_timesteps=ddim)
    lr = task.option("lr", 1e-4)
    trainer = Trainer(
        model,
        str(task.as_files()),
        train_lr=lr,
        train_num_steps=NEVER,
        save_and_sample_every=NEVER,
        calculate_fid=False,
        results_folder=str(task.folder / "results"),
        **task.option("trainer", {}),
    )
    averaged, update = trainer.ema.ema_model, trainer.ema.update

    def updated() -> None:  # the last thing of a step
        update()
        watch.step(trainer.batch_size)

    trainer.ema.update = updated

    def draw(count: int) -> Tensor:
        return in_batches(count, lambda n: averaged.sample(batch_size=n))

    known = versions("denoising-diffusion-pytorch")
    facts = {"dim": width, "sampling_timesteps": ddim, "versions": known}
    watch.begin(averaged, draw, trainer.batch_size, lr, **facts)
    trainer.train()


def diffusers_autoencoder(task: Task, watch: Watch) -> None:
    """The AutoencoderKL of diffusers."""
    from peer_autoencoder import train

    train(task, watch)


def lightweight_gan(task: Task, watch: Watch) -> None:
    """The GAN for few pictures."""
    from lightweight_gan.lightweight_gan import Trainer

    trainer = Trainer(
        name="peer",
        base_dir=str(task.folder),
        image_size=task.side,
        use_aim=False,
        **{
            "batch_size": 10, "gradient_accumulate_every": 4, "attn_res_layers": [32],
            "disc_output_size": 1, **task.options,
        },
    )  # fmt: skip

    def draw(count: int) -> Tensor:
        network = trainer.GAN.GE if trainer.steps > AVERAGED_FROM else trainer.GAN.G
        latents = torch.randn(count, trainer.GAN.latent_dim, device=task.device)
        return trainer.generate_(network, latents)

    _gan(task, watch, trainer, draw, "lightweight-gan")


def stylegan2(task: Task, watch: Watch) -> None:
    """The StyleGAN 2, its styles not truncated."""
    from stylegan2_pytorch.stylegan2_pytorch import Trainer, image_noise, noise_list

    trainer = Trainer(
        name="peer",
        base_dir=str(task.folder),
        image_size=task.side,
        **{
            "batch_size": 5, "gradient_accumulate_every": 6, "ttur_mult": 1.5, **task.options,
        },
    )  # fmt: skip

    def draw(count: int) -> Tensor:
        gan, own = trainer.GAN, trainer.steps <= AVERAGED_FROM
        latents = noise_list(count, gan.G.num_layers, gan.G.latent_dim, device=0)
        noise = image_noise(count, task.side, device=0)
        trainer.av = None  # the mean style is of these weights
        networks = (gan.S, gan.G) if own else (gan.SE, gan.GE)
        return trainer.generate_truncated(*networks, latents, noise, trunc_psi=1.0)

    _gan(task, watch, trainer, draw, "stylegan2-pytorch")


def _gan(
    task: Task, watch: Watch, trainer: Any, draw: Callable[[int], Tensor], package: str
) -> None:
    """Trains one of the two GANs, whose trainers are alike."""
    trainer.set_data_src(str(task.as_files()))
    trainer.init_GAN()
    # Both draw and save every hundred or thousand steps, in the midst of the clock.
    trainer.evaluate = trainer.save = lambda *_, **__: None
    images = trainer.batch_size * trainer.gradient_accumulate_every
    parts = [getattr(trainer.GAN, name, None) for name in "SGD"]  # averages are not trained
    count = sum(p.numel() for part in parts if part is not None for p in part.parameters())
    facts = {"parameters": count, "versions": versions(package)}
    watch.begin(trainer.GAN, draw, images, trainer.lr, **facts)
    while True:
        trainer.train()
        watch.step(images)


PEERS = {
    "pythae_vae": Peer("pythae", "pythae", pythae_vae),
    "pythae_vaegan": Peer("pythae", "pythae", pythae_vaegan),
    "denoising_diffusion": Peer(
        "denoising_diffusion_pytorch", "denoising-diffusion-pytorch", denoising_diffusion
    ),
    "diffusers_autoencoder": Peer("diffusers", "diffusers", diffusers_autoencoder),
    "lightweight_gan": Peer("lightweight_gan", "lightweight-gan", lightweight_gan, needs_cuda=True),
    "stylegan2": Peer("stylegan2_pytorch", "stylegan2-pytorch", stylegan2, needs_cuda=True),
}
