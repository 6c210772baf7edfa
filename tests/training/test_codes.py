import math

import pytest
import torch
from torch.autograd.functional import jacobian

from hiresvae.autoencoding import CodeSettings
from hiresvae.models.vae import VAE
from hiresvae.seeding import Noise, Shard
from hiresvae.settings import ModelSettings
from hiresvae.training.codes import activity_kl, contraction, make_penalties, top_code

SIZE = 8


def model(classes: int = 0, **chosen) -> VAE:
    torch.manual_seed(0)
    tiny = {"latent_dim": 5, "width": 4, "max_width": 8, "conditional": classes > 0}
    network = VAE(ModelSettings(**{**tiny, **chosen}), size=SIZE, channels=3, classes=classes)
    with torch.no_grad():  # off its start, where much is zero
        for weights in network.parameters():
            weights += 0.1 * torch.randn(weights.shape)
    return network


def pictures(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 2 - 1


def full(vae: VAE, images: torch.Tensor, labels, create_graph: bool = False) -> torch.Tensor:
    """The squared norm of each row's whole Jacobian, entry by entry from autograd."""
    norms = []
    for i in range(len(images)):
        row = None if labels is None else labels[i : i + 1]
        found = jacobian(
            lambda x, row=row: top_code(vae, x, row), images[i : i + 1], create_graph=create_graph
        )
        norms.append(found.square().sum())
    return torch.stack(norms)


def test_activity_by_hand():
    latents = torch.tensor([[0.0, 2.0], [1.0, -3.0], [-2.0, 0.5]])
    expected = 0.0
    for j in range(2):
        q = sum(1 / (1 + math.exp(-z)) for z in latents[:, j].tolist()) / 3
        expected += 0.05 * math.log(0.05 / q) + 0.95 * math.log(0.95 / (1 - q))
    assert activity_kl(latents, 0.05).item() == pytest.approx(expected, rel=1e-5)


def test_activity_is_0_at_the_target_and_finite_far_from_it():
    target = torch.full((4, 3), math.log(0.2 / 0.8))
    assert activity_kl(target, 0.2).item() == pytest.approx(0, abs=1e-6)
    far = torch.full((4, 3), 1e4, requires_grad=True)
    value = activity_kl(far, 0.05)
    value.backward()
    assert value.isfinite() and value > 1 and far.grad.isfinite().all()


DENSE = {"backbone": "dense", "hidden": [12]}
ONE_LAYER = {
    "activations": (DENSE, 0),
    "linear": ({**DENSE, "linear": True}, 0),
    "labels": (DENSE, 3),
    "over-complete": ({**DENSE, "latent_dim": 250}, 0),
}


@pytest.mark.parametrize(("chosen", "classes"), ONE_LAYER.values(), ids=ONE_LAYER.keys())
def test_one_layer_is_exactly_autograds_jacobian_and_so_is_its_gradient(chosen, classes):
    vae, images = model(classes, **chosen), pictures()
    labels = torch.tensor([0, 2, 1]) if classes else None

    def no_noise(*_):
        raise AssertionError("an exact norm needs no random numbers")

    found, expected = contraction(vae, images, labels, no_noise, 1), full(vae, images, labels, True)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    weights = [vae.encoder.layers[0].weight, vae.decoder.rung_list[0].read.weight]
    both = [torch.autograd.grad(norm.sum(), weights) for norm in (found, expected)]
    for ours, theirs in zip(*both, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
        assert ours.any()


DEEP = {
    "pyramid": {},
    "ladder": {"pyramid": "1x1 4x1 8x1", "rung_dim": 2},
    "top of a grid": {"pyramid": "4x1 8", "rung_dim": 2},
    "dense": {"backbone": "dense", "hidden": [12, 9]},
}


@pytest.mark.parametrize("chosen", DEEP.values(), ids=DEEP.keys())
def test_probes_along_the_axes_add_up_to_autograds_jacobian(chosen):
    """With v = sqrt(D) e_k for every k the mean of |J'v|^2 is |J|^2, without any chance in it."""
    vae, images = model(**chosen), pictures()
    dims = math.prod(vae.latent_shapes[0])

    def axis(stream, size):
        assert size == dims
        return math.sqrt(dims) * torch.eye(dims)[int(stream.split()[1])].expand(len(images), -1)

    found = contraction(vae, images, None, axis, dims)
    torch.testing.assert_close(found, full(vae, images, None), rtol=1e-3, atol=1e-5)


def test_random_probes_come_near_on_average():
    vae, images = model(), pictures()
    noise = Noise(0, 0, Shard(3, 0, 3)).normal
    found = contraction(vae, images, None, noise, 400)
    torch.testing.assert_close(found, full(vae, images, None), rtol=0.2, atol=0)
    assert torch.equal(found, contraction(vae, images, None, noise, 400)), "the same each time"


def test_a_deep_norm_reaches_the_encoders_weights():
    vae = model()
    noise = Noise(0, 0, Shard(3, 0, 3)).normal
    contraction(vae, pictures(), None, noise, 1).mean().backward()
    gradients = [p.grad for p in vae.encoder.parameters() if p.grad is not None and p.ndim > 1]
    assert gradients and all(g.isfinite().all() and g.any() for g in gradients)
    assert vae.decoder.head.weight.grad is None


def test_it_is_worked_out_in_single_precision():
    vae, images = model(), pictures()
    noise = Noise(0, 0, Shard(3, 0, 3)).normal
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = contraction(vae, images, None, noise, 2)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, contraction(vae, images, None, noise, 2))


def test_nothing_is_made_where_nothing_is_asked():
    assert make_penalties(CodeSettings(), model()) is None


EACH = {
    "l1": ["code.l1=1.0"],
    "sparsity": ["code.sparsity=3.0"],
    "contraction": ["code.contraction=1.0", "code.probes=2"],
    "one layer": ["code.contraction=1.0", "model.backbone=dense", "model.hidden=[16]"],
    "ladder": ["code.l1=1.0", "code.contraction=1.0", "model.pyramid=1x1 4x1 8 16"],
    "labels": ["code.contraction=1.0", "model.conditional=true", "data.labels=set"],
}


@pytest.mark.parametrize("chosen", EACH.values(), ids=EACH.keys())
def test_each_penalty_joins_a_step_and_is_told_unweighted(make_trainer, chosen):
    told, weights = [], []
    for weight in (1, 5):
        more = [chosen[0].split("=")[0] + f"={weight}.0", *chosen[1:]]
        trainer = make_trainer("adversary=null", "model.stochastic=false", *more)
        trainer._set_rates(1.0)
        told.append(trainer.step(0))
        weights.append(trainer.vae.decoder.rung_list[0].read.weight.clone())
    names = [name for name in told[0] if name.startswith("code_")]
    assert len(names) == sum("probes" not in word and "code." in word for word in chosen)
    for name in names:
        assert told[0][name] == told[1][name] and told[0][name].isfinite()
    assert not torch.equal(*weights)


@pytest.mark.parametrize(
    ("key", "name"),
    [("l1", "code_l1"), ("sparsity", "code_sparsity"), ("contraction", "code_contraction")],
)
def test_a_heavy_penalty_makes_itself_small(make_trainer, key, name):
    ends = []
    for weight in (1e-6, 1e4):
        trainer = make_trainer(
            "adversary=null", "model.stochastic=false", "training.lr=1e-2", f"code.{key}={weight}"
        )
        trainer._set_rates(1.0)
        for number in range(15):
            logs = trainer.step(number)
        ends.append(logs[name].item())
    assert ends[1] < 0.8 * ends[0]


def test_a_code_may_be_larger_than_the_picture(make_trainer):
    trainer = make_trainer(
        "adversary=null", "data.size=8", "model.latent_dim=200", "model.stochastic=false",
        "model.backbone=dense", "model.hidden=[24]", "code.l1=0.1", "prior.kind=gaussian",
    )  # fmt: skip
    trainer._set_rates(1.0)
    for number in range(3):
        assert trainer.step(number)["code_l1"] > 0
    density = trainer.snapshots.fitted(trainer.average.model)
    used = trainer.snapshots.take(trainer.average.model, density, 24)
    assert used.encode(trainer.batches.pictures([0]))[0].shape == (1, 200, 1, 1)
    assert 200 > 3 * 8 * 8
