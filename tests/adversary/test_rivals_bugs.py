"""Bugs that others shipped in training an adversary, each shut out by a whole step of ours."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from hiresvae.adversary.augment import Change
from hiresvae.adversary.balance import gradient_at
from hiresvae.models.vae import VAE
from hiresvae.seeding import Noise, Shard
from hiresvae.training import step as step_module
from hiresvae.training.objective import Fakes, bound_loss, kl_weight

BEGUN = ("adversary.start=0", "adversary.ramp=0")
BALANCED = (*BEGUN, "adversary.balance=gradient_ratio", "adversary.balance_every=1")


def plain_steps(trainer, model: float, critic: float) -> None:
    """Gives both networks steps along their gradients, so that a step's size tells it."""
    networks = trainer.networks
    networks.model_optimizer = torch.optim.SGD(networks.model.parameters(), model)
    assert networks.critic is not None
    networks.critic_optimizer = torch.optim.SGD(networks.critic.parameters(), critic)


def values(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def moved(before: dict[str, torch.Tensor], network: nn.Module) -> set[str]:
    now = values(network)
    return {name for name, value in before.items() if not torch.equal(value, now[name])}


@pytest.mark.parametrize("steps", ["critic", "model"])
def test_critic_that_never_stepped_each_round_moves_all_of_one_network_and_none_of_the_other(
    make_trainer, steps
):
    """`diffusers`, pull request 10605: for two months its example's critic stood still."""
    trainer = make_trainer(*BEGUN, "adversary.loss=non_saturating", "model.kl_warmup=0")
    networks = trainer.networks
    both = {"model": networks.model, "critic": networks.critic}
    before = {name: values(network) for name, network in both.items()}
    plain_steps(trainer, float(steps == "model") / 100, float(steps == "critic") / 100)
    for number in range(3):  # layers that begin as nothing let those before them learn a step later
        trainer.step(number)
    for name, network in both.items():
        expected = set(before[name]) if name == steps else set()
        assert moved(before[name], network) == expected


def round_by_hand(trainer, number: int) -> None:
    """A round as a textbook has it: two of everything, all detached, all cleared."""
    settings, networks, running = trainer.settings, trainer.networks, trainer.running
    chosen, critic = settings.adversary, networks.critic
    noise = Noise(settings.seed, number, Shard(8, 0, 8))
    images, _ = trainer.batches.batch(8 * number, 8)
    plan = Fakes.of_rows(chosen.fakes, 0, 8, images.device)
    change = Change.drawn(noise, chosen.augment)

    with torch.no_grad():
        made = plan.mix(trainer.step._forward(images, None, noise, plan))
    sides = [x.detach().clone().requires_grad_(True) for x in (images, made)]
    real, fake = (critic(change(side)).logits for side in sides)
    loss = F.softplus(fake - real).mean()
    if number % chosen.penalty_every == 0:
        for logits, side in zip((real, fake), sides, strict=True):
            (slope,) = torch.autograd.grad(logits.sum(), side, create_graph=True)
            penalty = 0.5 * slope.square().sum((1, 2, 3)).mean()
            loss = loss + chosen.gamma * chosen.penalty_every * penalty
    critics = torch.autograd.grad(loss, list(critic.parameters()))

    outputs = trainer.step._forward(images, None, noise, plan)
    beta = kl_weight(settings.model, 8 * number / settings.training.images)
    loss = (outputs.distortion.mean() + beta * outputs.rate.sum(1).mean()) / trainer.step.dims
    on_real, on_fake = critic(change(images)), critic(change(plan.mix(outputs)))
    loss = loss + chosen.weight * F.softplus(on_real.logits.detach() - on_fake.logits).mean()
    layers = [
        (on_fake.features[side] - on_real.features[side].detach()).abs().flatten(1).mean(1)
        for side in on_fake.features
    ]
    matched = torch.stack(layers).mean(0)[plan.paired].mean()
    loss = loss + chosen.feature_matching * matched
    models = torch.autograd.grad(loss, list(networks.model.parameters()))

    for network, optimizer, gradients in (
        (networks.model, networks.model_optimizer, models),
        (critic, networks.critic_optimizer, critics),
    ):
        for parameter, gradient in zip(network.parameters(), gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        optimizer.zero_grad()
    running.observe(*running.sums(outputs.top, None), 8)
    trainer.vae.likelihood.observe(outputs.error.detach().mean())


def test_gradients_that_leak_into_the_next_step_two_rounds_equal_hand_written_ones(make_trainer):
    """`diffusers`, its example autoencoderkl; `pytorch-vqgan`, issue 3; `SAGAN`, issue 48."""
    ends = []
    for worked_out in (trainer_step, round_by_hand):
        trainer = make_trainer(*BEGUN)
        begun = values(trainer.vae) | values(trainer.networks.critic)
        plain_steps(trainer, 0.02, 0.02)
        for number in range(2):
            worked_out(trainer, number)
        now = values(trainer.vae) | values(trainer.networks.critic)
        ends.append({name: value - begun[name] for name, value in now.items()})
    assert any("critic" in name or "whole" in name for name in ends[0])
    for name, change in ends[0].items():
        near = 1e-3 * change.abs().max().item() + 1e-7
        torch.testing.assert_close(change, ends[1][name], rtol=1e-3, atol=near, msg=name)


def trainer_step(trainer, number: int) -> None:
    trainer.step(number)


@pytest.mark.parametrize("loss", ["relativistic", "non_saturating", "hinge", "least_squares"])
def test_fakes_detached_or_sign_reversed_a_step_by_the_critic_alone_makes_fakes_look_more_real(
    make_trainer, monkeypatch, loss
):
    """`image2reverb`, issue 37; VAEGAN of `clementchadebec/benchmark_VAE`."""
    trainer = make_trainer(
        *BEGUN, f"adversary.loss={loss}", "adversary.feature_matching=0", "adversary.gamma=0",
        "adversary.fakes=[reconstructions]", "adversary.weight=0.5",
    )  # fmt: skip
    real = step_module.bound_loss
    monkeypatch.setattr(step_module, "bound_loss", lambda *a, **more: 0 * real(*a, **more))
    plain_steps(trainer, 0.0, 0.05)
    trainer.step(0)  # a critic that knows something; then it is frozen
    plain_steps(trainer, 0.02, 0.0)
    before = values(trainer.vae.decoder)
    logs = [trainer.step(1) for _ in range(3)]  # the same pictures and noise
    assert moved(before, trainer.vae.decoder), "the model feels the critic"
    adversarial = [told["adversarial"].item() for told in logs]
    logits = [told["fake_logit"].item() for told in logs]
    assert adversarial == sorted(adversarial, reverse=True) and adversarial[0] > adversarial[2]
    assert logits[0] < logits[1] < logits[2] or loss == "least_squares", "those have a goal of 1"


def test_an_adaptive_weight_that_cannot_be_computed_raises_and_never_becomes_zero(
    make_trainer, monkeypatch
):
    """`CompVis/taming-transformers` and `CompVis/latent-diffusion`: a caught RuntimeError."""

    def fails(*_, **__):
        raise RuntimeError("no gradient here")

    trainer = make_trainer(*BALANCED)
    with monkeypatch.context() as patch:
        patch.setattr(step_module, "gradient_at", fails)
        with pytest.raises(RuntimeError, match="no gradient here"):
            trainer.step(0)


def test_wrong_or_frozen_last_layer_raises(make_trainer, monkeypatch):
    """`LightningDiT`, issue 47; MONAI's `GenerativeModels`, issue 144."""
    trainer = make_trainer(*BALANCED)
    wrong = nn.Parameter(torch.zeros_like(trainer.vae.last_layer))
    with monkeypatch.context() as patch:
        patch.setattr(VAE, "last_layer", property(lambda _: wrong))
        with pytest.raises(RuntimeError, match="not have been used"):
            trainer.step(0)
    trainer = make_trainer(*BALANCED)
    trainer.vae.last_layer.requires_grad_(False)
    with pytest.raises(RuntimeError, match="does not require grad"):
        trainer.step(0)
    loss = torch.ones(3, requires_grad=True).sum()
    assert not gradient_at(loss, wrong).any(), "what is only told may be nothing"


@pytest.mark.parametrize(
    "chosen",
    [
        ("model.pyramid=1x1 4x2 8x1 ...",),
        ("model.likelihood=logistic_mixture",),
        ("model.likelihood=bernoulli", "data.binarize=true"),
        ("model.backbone=dense", "model.hidden=[24]"),
        ("model.backbone=classic", "data.size=28"),
    ],
    ids=["ladder", "mixture", "bernoulli", "dense", "classic"],
)
def test_wrong_or_frozen_last_layer_both_norms_are_there(make_trainer, chosen):
    trainer = make_trainer(*BALANCED, *chosen)
    assert any(trainer.vae.last_layer is p for p in trainer.vae.decoder.parameters())
    trainer._set_rates(1.0)
    trainer.step(0)
    assert 0 < trainer.step.balance.ratio < trainer.settings.adversary.balance_cap
    logs = trainer.step(1, measure=True)
    for name in ("bound_gradient_norm", "adversary_gradient_norm"):
        assert logs[name].isfinite() and logs[name] > 0


def test_adaptive_weight_computed_before_the_critic_is_felt_it_is_not(make_trainer):
    """`CompVis/taming-transformers`: weighed from the first step on, against a random critic."""
    trainer = make_trainer(*BALANCED, "adversary.warmup=0.5")
    trainer._set_rates(1.0)
    for number, known in ((7, False), (8, True)):
        trainer.step(number)
        assert bool(trainer.step.balance.mass > 0) == known


WEIGHED = """
# One of two processes: tells the ratio that it has, and the one of its own rows alone.
import os, sys
import torch
torch.set_num_threads(1)
from safetensors.torch import save_file
from hiresvae.commands.train import train
from hiresvae.training import step
from hiresvae.training.trainer import Trainer

told, part, fit = {}, step.Step._part, Trainer.fit

def parted(self, number, *given):
    found = part(self, number, *given)
    bound, adversarial = found[0]["balance"]
    told[f"own{number}"] = bound.norm() / adversarial.norm()
    return found

def ended(self):
    done = fit(self)
    told["ratio"] = self.step.balance.ratio.clone()
    return done

step.Step._part, Trainer.fit = parted, ended
train(sys.argv[1], sys.argv[3:], out=sys.argv[2])
save_file(told, f"{sys.argv[2]}.{os.environ['RANK']}")
"""


def test_adaptive_weight_of_each_rank_both_ranks_and_one_process_have_the_same(
    tiny, train, both_processes, tmp_path
):
    """`CompVis/taming-transformers`: each process weighs by the rows that it happens to hold."""
    chosen = [*BALANCED, "training.images=24", "adversary.balance_cap=1e9"]
    alone = train(tmp_path / "one", *chosen)
    both_processes("-c", WEIGHED, str(tiny), str(tmp_path / "two"), *chosen)
    first, second = (load_file(f"{tmp_path / 'two'}.{rank}") for rank in (0, 1))
    for number in range(3):
        own = first[f"own{number}"]
        assert not torch.isclose(own, second[f"own{number}"], rtol=1e-3), "their rows are others"
    assert torch.equal(first["ratio"], second["ratio"])
    state = load_file(alone / "checkpoints" / "000000024" / "balance.safetensors")
    expected = state["ratio_sum"] / state["mass"]
    assert expected > 0
    torch.testing.assert_close(first["ratio"], expected, rtol=1e-3, atol=0)


@pytest.fixture
def gloo(tmp_path):
    """One process that is a group of its own, as a wrapper for several needs one."""
    where = f"file://{tmp_path / 'store'}"
    torch.distributed.init_process_group("gloo", init_method=where, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_gradients_at_one_weight_through_wrapper_and_checkpointing_the_weight_is_the_same(
    make_trainer, gloo
):
    """`pytorch`, issues 47562 and 69027."""
    ends = []
    for wrapped, recomputed in ((False, False), (True, False), (False, True), (True, True)):
        trainer = make_trainer(
            *BALANCED, f"training.gradient_checkpointing={str(recomputed).lower()}",
            "model.pyramid=1x1 4x1 8x1 16",
        )  # fmt: skip
        networks = trainer.networks
        if wrapped:
            parallel = nn.parallel.DistributedDataParallel
            networks.model, networks.critic = parallel(networks.model), parallel(networks.critic)
        plain_steps(trainer, 0.02, 0.02)
        ratios = []
        for number in range(2):
            logs = trainer.step(number)
            ratios.append(trainer.step.balance.ratio)
        ends.append((torch.stack(ratios), logs["adversary_weight"], values(trainer.vae)))
    ratios, weight, end = ends[0]
    assert (ratios > 0).all() and weight > 0
    for other_ratios, other_weight, other_end in ends[1:]:
        torch.testing.assert_close(other_ratios, ratios, rtol=1e-4, atol=0)
        torch.testing.assert_close(other_weight, weight, rtol=1e-4, atol=0)
        for name, value in end.items():
            torch.testing.assert_close(other_end[name], value, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize(("batch", "parts", "first"), [(8, 1, 4), (8, 4, 4), (16, 1, 2)])
def test_start_counted_per_optimiser_step_it_is_a_share_of_the_images(
    make_trainer, batch, parts, first
):
    """`Lightning`, issue 17958: two optimisers halved every start."""
    trainer = make_trainer(
        f"training.batch_size={batch}", f"training.accumulation={parts}", "adversary.start=0.25"
    )
    assert "critic" not in trainer.step(first - 1)
    assert "critic" in trainer.step(first)


def test_reals_and_fakes_in_different_ranges_the_critic_sees_both_as_the_model_does(make_trainer):
    """`voletiv/SAGAN`, issue 6: real ones in [0, 1], fakes in [-1, 1]."""
    trainer = make_trainer(*BEGUN, "adversary.augment=[]", "adversary.fakes=[reconstructions]")
    shown = []
    trainer.networks.critic.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    images, _ = trainer.batches.batch(8, 8)
    made = trainer.vae(images, noise=Noise(0, 1, Shard(8, 0, 8)).normal).reconstruction
    trainer.step(1)
    real, fake = shown
    assert torch.equal(real, images) and -1 <= real.min() < -0.5 and 0.5 < real.max() <= 1
    torch.testing.assert_close(fake, made, rtol=1e-4, atol=1e-5)


def test_wrong_pair_of_losses_it_is_the_whole_bound_and_the_bare_adversarial_term(
    make_trainer, monkeypatch
):
    """`LightningDiT`, issue 47: paper and code were read differently."""
    trainer = make_trainer(*BALANCED, "adversary.augment=[]", "adversary.fakes=[reconstructions]")
    given = []
    monkeypatch.setattr(trainer.step.balance, "observe", lambda *pair: given.extend(pair[:2]))
    images, _ = trainer.batches.batch(0, 8)
    outputs = trainer.vae(images, noise=Noise(0, 0, Shard(8, 0, 8)).normal)
    bound = bound_loss(outputs, trainer.step.dims, kl_weight(trainer.settings.model, 0.0), 0.0)
    critic = trainer.networks.critic
    logits = [critic(side).logits for side in (images, outputs.reconstruction)]
    adversarial = F.softplus(logits[0].detach() - logits[1]).mean()
    last = trainer.vae.last_layer
    expected = [torch.autograd.grad(x, last, retain_graph=True)[0] for x in (bound, adversarial)]
    trainer.step(0)
    for found, by_hand in zip(given, expected, strict=True):
        near = 1e-3 * by_hand.abs().max().item()
        torch.testing.assert_close(found, by_hand, rtol=1e-3, atol=near)
