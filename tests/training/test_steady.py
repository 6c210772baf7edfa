import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from hiresvae.models.vae import VAE
from hiresvae.settings import ModelSettings
from hiresvae.training import trainer as trainer_module
from hiresvae.training.steady import KLBalance, SpectralPenalty, Steady

SHAPES = [(8, 1, 1), (2, 4, 4), (2, 4, 4)]
STEADY = ("model.pyramid=1x1 4x2 8x1 ...", "model.kl_balance=true", "model.spectral=0.1",
          "model.kl_warmup=1", "adversary=null", "training.images=64")  # fmt: skip


def observed(balance, *rates, images=8):
    for rate in rates:
        balance.observe(4 * torch.tensor(rate), torch.tensor(4.0), images)
    return balance


def test_a_rung_pays_by_what_it_spends_for_its_size():
    balance = observed(KLBalance(SHAPES), [2.0, 1.0, 0.0])
    wanted = torch.tensor([2.01 / 8, 1.01 / 16, 0.01 / 16])
    torch.testing.assert_close(balance.factors, wanted / wanted.mean())
    even = observed(KLBalance(SHAPES), [0.79, 1.59, 1.59]).factors
    torch.testing.assert_close(even, torch.ones(3))


def test_the_balance_is_a_running_mean_that_nothing_broken_changes():
    balance = observed(KLBalance(SHAPES), [1.0, 1.0, 1.0], [3.0, 3.0, 3.0], images=1000)
    torch.testing.assert_close(balance.rate_sum / balance.mass, torch.full((3,), 7 / 3))
    before = {name: value.clone() for name, value in balance.state_dict().items()}
    observed(balance, [1.0, float("nan"), 1.0])
    balance.observe(torch.ones(3), torch.tensor(torch.nan), 8)
    assert all(torch.equal(value, before[name]) for name, value in balance.state_dict().items())


def test_one_rung_is_balanced_by_exactly_1():
    balance = observed(KLBalance(SHAPES[:1]), [17.3])
    assert balance.factors.tolist() == [1.0]


def make(**chosen) -> VAE:
    torch.manual_seed(0)
    settings = ModelSettings(width=4, max_width=8, latent_dim=6, pyramid="1x1 4x2 8 16", **chosen)
    return VAE(settings, size=16, channels=3)


def test_rungs_are_balanced_while_beta_rises_and_no_longer():
    vae = make(kl_balance=True, beta=2.0)
    steady = Steady.of(vae.settings, vae)
    assert steady.kept().keys() == {"kl_balance"}
    assert steady.balance(1.9).shape == (3,)
    assert steady.balance(2.0) is None
    off = Steady.of(make().settings, make())
    assert off.kept() == {} and off.balance(0.0) is None
    bound, logs = torch.ones(()), {}
    assert off.penalised(bound, logs) is bound and logs == {}


def singular_values(network: nn.Module) -> torch.Tensor:
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return torch.stack([torch.linalg.matrix_norm(m.weight.flatten(1), 2) for m in layers])


def test_the_penalty_is_the_sum_of_largest_singular_values_and_lowers_them():
    vae = make()
    penalty = SpectralPenalty(vae)
    before = singular_values(vae).detach()
    assert (before == 0).any() and len(before) > 20
    torch.testing.assert_close(penalty(), before.sum(), rtol=0.02, atol=0)
    optimizer = torch.optim.SGD(vae.parameters(), lr=0.02)
    for _ in range(20):
        optimizer.zero_grad()
        penalty().backward()
        optimizer.step()
        penalty.follow()
    after = singular_values(vae)
    assert (after <= before).all()
    assert after.sum() < 0.95 * before.sum()
    assert (after[before == 0] == 0).all(), "what is nothing is pushed nowhere"
    assert not list(penalty.parameters()), "the weights are the model's alone"


def test_the_penalty_counts_nats_a_picture(make_trainer):
    trainer = make_trainer(*STEADY)
    logs = trainer.step(0)
    assert logs["spectral"] > 0
    plain = make_trainer(*STEADY, "model.spectral=0.0").step(0)
    assert "spectral" not in plain
    torch.testing.assert_close(logs["bound_nats_per_dim"], plain["bound_nats_per_dim"])
    steady, bound = trainer.step.steady, torch.zeros(())
    expected = 0.1 * steady.spectral() / (3 * 16 * 16)
    torch.testing.assert_close(steady.penalised(bound, {}), expected)


def test_it_goes_on_where_it_was(train, weights, tmp_path, monkeypatch):
    whole, step = train(tmp_path / "whole", *STEADY), trainer_module.Step.__call__

    def broken(self, number, **options):
        if number == 5:
            raise RuntimeError("a power cut")
        return step(self, number, **options)

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module.Step, "__call__", broken)
        with pytest.raises(RuntimeError, match="power cut"):
            train(tmp_path / "cut", *STEADY)
    assert weights(train(tmp_path / "cut", *STEADY)) == weights(whole)
    state = load_file(whole / "checkpoints" / "000000064" / "kl_balance.safetensors")
    assert state["rate_sum"].shape == (4,) and (state["rate_sum"] > 0).all()
    parts = train(tmp_path / "parts", *STEADY, "training.accumulation=2")
    other = load_file(parts / "checkpoints" / "000000064" / "kl_balance.safetensors")
    for name, value in state.items():
        torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-4)


def test_a_diverged_training_begins_again_with_a_fresh_balance(make_trainer):
    trainer = make_trainer(*STEADY)
    trainer._set_rates(1.0)
    trainer.step(0)
    kept = trainer.step.steady.kl_balance
    assert kept.mass > 0
    trainer._begin_again()
    assert kept.mass == 0 and (kept.rate_sum == 0).all()


def test_one_rung_trains_to_the_same_bits_whatever_a_ladder_would_do(
    trained, train, content, tmp_path
):
    other = train(
        tmp_path / "run", "model.pyramid=1x1 4 8 ...", "model.merge=precision",
        "model.kl_balance=true",
    )  # fmt: skip
    for name in ("model.safetensors", "prior.safetensors"):
        assert content(other / "model")[name] == content(trained / "model")[name]
