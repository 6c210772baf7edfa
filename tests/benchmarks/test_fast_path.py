import json

import fast_path
import pytest
import torch

from hiresvae.adversary.adversary import Adversary
from hiresvae.adversary.spectral import Bounded
from hiresvae.configuration import load_settings

TRICKS = {
    "order in memory", "fused AdamW", "foreach average", "pictures held in memory",
    "critic's forward shared", "one backward of the model", "blur by convolution",
}  # fmt: skip
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def bench(tiny, tmp_path):
    def make(*changes):
        return fast_path.Bench(load_settings(tiny, list(changes)), CPU, tmp_path)

    return make


class Spied:
    """What makes a step, and remembers the last one that it made."""

    def __init__(self, bench, monkeypatch):
        make, self.last = bench.step, None

        def remembered(**named):
            self.last = make(**named)
            return self.last

        monkeypatch.setattr(bench, "step", remembered)


def calls_of(step, owner, name):
    """Returns how often something is called in a step."""
    calls, does = [], getattr(owner, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, lambda *a, **b: calls.append(1) or does(*a, **b))
        step(penalty=False)
    return len(calls)


def numbers(step):
    parts = (step.step.vae, step.step.networks.critic, step.average.model)
    return [p.detach() for part in parts if part is not None for p in part.parameters()]


@pytest.mark.parametrize("trick", sorted(TRICKS))
@pytest.mark.parametrize("changes", [(), ("model.backbone=classic",)])
def test_a_step_without_a_trick_does_the_same(bench, trick, changes, monkeypatch):
    made = bench(*changes)
    if trick not in made.undone():
        assert changes and trick == "blur by convolution", "the classic backbone has no blur"
        return
    spied = Spied(made, monkeypatch)
    fast, plain, undone = made.step(), made.undone()[trick](), spied.last
    begun = [p.clone() for p in numbers(fast)]
    for penalty in (False, True, False):
        for one in (fast, plain):
            one(penalty=penalty)
    assert not all(torch.equal(a, b) for a, b in zip(begun, numbers(fast), strict=True))
    for a, b in zip(numbers(fast), numbers(undone), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-5)


def test_shared_spectral_norms_are_a_trick_where_there_are_any(bench, monkeypatch):
    made = bench("adversary.spectral_norm=true")
    spied = Spied(made, monkeypatch)
    fast, plain, undone = made.step(), made.undone()["spectral norms shared"](), spied.last
    shared, twice = (calls_of(one, Bounded, "norm") for one in (fast, plain))
    assert twice >= 2 * shared > 0
    for a, b in zip(numbers(fast), numbers(undone), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-5)


def test_what_is_undone_is_undone(bench, monkeypatch):
    made = bench()
    plain = {name: make() for name, make in made.undone().items()}
    assert plain.keys() == TRICKS

    def order(step):
        weight = step.step.vae.encoder.stem.weight
        return weight.is_contiguous(memory_format=torch.channels_last)

    assert order(made.step()) and not order(plain["order in memory"])
    other = bench("model.backbone=classic").undone()["order in memory"]().step.vae
    weight = other.encoder.layers[1].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    networks = plain["fused AdamW"].step.networks
    for optimizer in (networks.model_optimizer, networks.critic_optimizer):
        assert not (optimizer.defaults["fused"] or optimizer.defaults["foreach"])
    stores = [
        one.step.batches._stores[0] for one in (made.step(), plain["pictures held in memory"])
    ]
    assert isinstance(stores[0], torch.Tensor) and not isinstance(stores[1], torch.Tensor)
    for trick, owner, name, count in (
        ("critic's forward shared", Adversary, "judge", (1, 2)),
        ("one backward of the model", torch.Tensor, "backward", (2, 3)),
        ("blur by convolution", torch.nn.functional, "interpolate", (0, 8)),
    ):
        assert tuple(calls_of(step, owner, name) for step in (made.step(), plain[trick])) == count
    calls = []
    monkeypatch.setattr(torch, "_foreach_lerp_", lambda *_: calls.append(1))
    for step, count in ((made.step(), 1), (plain["foreach average"], 0)):
        step.average.update(step.step.vae, 1000, 8)
        assert len(calls) == count
        calls.clear()


def test_ratios_are_of_rounds_in_turn():
    done = []
    calls = {name: (lambda name=name: done.append(name)) for name in "ab"}
    found = fast_path.in_turn(calls, 3, "cpu")
    assert found.keys() == {"a", "b"} and all(len(x) == 3 for x in found.values())
    assert "".join(done) in ("abba" * 2 + "ab", "baab" * 2 + "ba")
    row = fast_path.figures([1.0, 2.0, 1.0, 4.0], [2.0, 2.0, 3.0, 20.0])
    assert row["ratio"] == 2.5 and row["quartiles"] == pytest.approx([1.75, 3.5])
    assert (row["seconds_with"], row["seconds_without"]) == (1.5, 2.5)


def test_every_trick_has_its_row(tiny, tmp_path, capsys):
    out = tmp_path / "f.json"
    fast_path.main([str(tiny), "--rounds", "1", "--device", "cpu", "--out", str(out)])
    found = json.loads(out.read_text())
    assert found["tricks"].keys() == TRICKS | {"penalties every 2 steps"}
    assert all(row["ratio"] > 0 for row in found["tricks"].values())
    assert "fused AdamW" in capsys.readouterr().out


def test_a_grey_set_without_adversary_or_average(bench):
    made = bench("data.source=mnist", "data.size=28", "adversary=null", "training.ema_images=0")
    without = {"critic's forward shared", "one backward of the model", "foreach average"}
    assert made.undone().keys() == TRICKS - without
    assert made.step().step.vae.channels == 1
