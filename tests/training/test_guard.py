"""What is skipped, when it is released, and what is counted."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hiresvae.adversarial import AdversarySettings
from hiresvae.errors import UserError
from hiresvae.settings import Settings, TrainingSettings
from hiresvae.training import guard as module
from hiresvae.training.guard import KNOWN, RELEASE, Guard, is_good, step_unless
from hiresvae.training.optim import make_optimizer

FINE = torch.tensor(1.0)


def guard(**training):
    return Guard(Settings(training=TrainingSettings(**training)))


def norm(value):
    return torch.tensor(float(value))


@pytest.fixture
def known():
    """A guard that has seen norms of about 1 for as long as it needs."""
    watch = guard(skip_above=10.0)
    for number in range(KNOWN):
        assert not watch.judge(FINE, norm(0.9 + 0.2 * (number % 2)), norm(100))
    return watch


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_skipped_from_the_first_step_on(broken):
    watch, bad = guard(), torch.tensor(broken)
    assert watch.judge(bad, FINE)
    assert watch.judge(FINE, bad)
    assert watch.judge(FINE, FINE, bad)
    assert not watch.judge(FINE, FINE, FINE)
    assert (watch.skipped, watch.in_a_row) == (3, 0)
    assert watch.norms[0, 0] == 1 and watch.num_norms.tolist() == [1, 1, 0]


def test_an_exploding_norm_is_skipped_and_does_not_move_the_median(known):
    before = known.norms.clone()
    assert not known.judge(FINE, norm(9), norm(100))
    assert known.judge(FINE, norm(12), norm(100)), "of the model"
    assert known.judge(FINE, norm(1), norm(1200)), "of the critic"
    assert known.skipped == 2
    changed = ~torch.eq(known.norms, before) & ~known.norms.isnan()
    assert changed.sum() == 2, "the accepted step's"


def test_norms_of_steps_with_penalties_are_compared_among_themselves(known):
    assert not known.judge(FINE, norm(1), norm(5000), penalty=True)
    assert known.judge(FINE, norm(1), norm(5000))


def test_before_the_median_is_known_and_where_it_is_not_wanted_no_norm_is_too_large():
    watch = guard(skip_above=10.0)
    for _ in range(KNOWN - 1):
        watch.judge(FINE, norm(1))
    assert not watch.judge(FINE, norm(1e6))
    watch = guard(skip_above=None)
    for _ in range(KNOWN):
        watch.judge(FINE, norm(1))
    assert not watch.judge(FINE, norm(1e6))


@pytest.mark.parametrize(("grown", "skips"), [(15, RELEASE), (35, 2 * RELEASE)])
def test_update_gates_that_never_release_norms_that_grew_for_good(known, grown, skips):
    skipped = 0
    while known.judge(FINE, norm(grown), norm(100)):
        skipped += 1
        assert skipped <= skips
    assert skipped == skips
    more = sum(bool(known.judge(FINE, norm(grown), norm(100))) for _ in range(300))
    assert more <= 2 * skips, "few are lost until the median has followed"
    assert not known.judge(FINE, norm(grown), norm(100))
    assert known.slack < 1.5, "and the threshold comes down again"


def test_a_release_is_for_norms_not_for_what_is_not_finite(known):
    for _ in range(10 * RELEASE):
        assert known.judge(norm(torch.nan), norm(1), norm(100))
    assert known.slack == 1


def test_a_collapse_is_of_what_was_alive():
    watch = guard()
    for _ in range(300):
        watch.judge(FINE, FINE, FINE, fake_spread=norm(1e-5))
    assert watch.trouble(7) is None, "a training begins with pictures that are all alike"
    watch.judge(FINE, FINE, FINE, fake_spread=norm(0.5))
    for _ in range(module.COLLAPSED_STEPS - 1):
        watch.judge(FINE, FINE, FINE, fake_spread=norm(1e-5))
    assert watch.trouble(7) is None
    watch.judge(FINE, FINE, FINE, fake_spread=norm(1e-5))
    assert "all made pictures looked alike for 200 steps" in watch.trouble(7)
    watch.judge(FINE, FINE, FINE, fake_spread=norm(0.1))
    assert watch.trouble(7) is None
    assert watch.skipped == 0


def test_a_batch_that_cannot_tell_neither_makes_a_collapse_nor_ends_one():
    watch = guard()
    watch.judge(FINE, FINE, FINE, fake_spread=norm(0.5))
    for _ in range(module.COLLAPSED_STEPS):
        watch.judge(FINE, FINE, FINE, fake_spread=norm(1e-5))
        watch.judge(FINE, FINE, FINE, fake_spread=norm(torch.nan))
    assert watch.collapsed.tolist() == 2 * [module.COLLAPSED_STEPS] and watch.skipped == 0
    older = watch.state_dict() | {"collapsed": torch.tensor(7), "was_alive": torch.tensor(True)}
    watch.load_state_dict(older)
    assert watch.collapsed.tolist() == [7, 7], "of a version that counted all kinds together"


def test_a_training_that_fails_at_the_same_place_again_goes_further_back(tmp_path):
    def written(images, state):
        path = tmp_path / f"{images:09d}"
        path.mkdir(exist_ok=True)
        save_file(state, path / "guard.safetensors")
        return path

    watch = guard(checkpoint=32)
    calm = {name: value.clone() for name, value in watch.state_dict().items()}
    broken = calm | {"in_a_row": torch.tensor(3)}
    states = ((32, calm), (64, calm), (96, broken))
    paths = [written(images, state) for images, state in states]
    assert watch.way_back(paths, 100) == paths[1]
    watch.went_back(calm, 100)
    assert watch.way_back(paths, 100) == paths[0], "what ails it may lie in the last one"
    assert watch.way_back(paths, 131) == paths[0], "it came no checkpoint further since"
    assert watch.way_back(paths, 132) == paths[1], "it did"
    assert watch.way_back(paths[1:], 90) == paths[1], "the only one, at a lower rate"
    assert watch.way_back(paths[2:], 100) is None, "the beginning"
    (paths[0] / "guard.safetensors").write_bytes(b"")
    assert watch.way_back(paths, 100) == paths[1], "a damaged one is none"
    written(32, calm)
    older = {name: value for name, value in calm.items() if name != "trouble_at"}
    watch.load_state_dict(older | {"back_at": torch.tensor(64)})
    assert watch.way_back(paths, 100) == paths[1], "of a version that did not remember"


def test_the_host_looks_now_and_then_and_at_the_end():
    watch = guard(patience=3)
    for _ in range(3):
        watch.judge(norm(torch.nan), FINE)
    assert watch.trouble(6) is None
    assert "3 steps in a row" in watch.trouble(7)
    assert "3 steps in a row" in watch.trouble(6, last=True)


@pytest.mark.parametrize("fused", [True, False])
def test_a_skipped_step_changes_neither_weights_nor_moments(fused):
    layers = [nn.Linear(2, 2) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    optimizers = [make_optimizer(layer, 0.1, (0.5, 0.9)) for layer in layers]
    for optimizer in optimizers:
        optimizer.defaults["fused"] = optimizer.param_groups[0]["fused"] = fused
    for number in range(4):
        broken = number in (0, 2)
        for which, (layer, optimizer) in enumerate(zip(layers, optimizers, strict=True)):
            if broken and which:
                continue  # the second never sees the broken steps
            for p in layer.parameters():
                p.grad = torch.full_like(p, torch.nan if broken else 1.0 + number)
            step_unless(optimizer, torch.tensor(broken))
    for one, other in zip(layers[0].parameters(), layers[1].parameters(), strict=True):
        assert torch.equal(one, other)
    states = [optimizer.state_dict()["state"][0] for optimizer in optimizers]
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())
    assert not hasattr(optimizers[0], "found_inf")


def test_what_was_counted_outlives_going_back():
    watch = guard()
    old = {name: value.clone() for name, value in watch.state_dict().items()}
    for _ in range(4):
        watch.judge(norm(torch.nan), FINE)
    before = {name: value.clone() for name, value in watch.state_dict().items()}
    watch.load_state_dict(old)
    watch.went_back(before, 0)
    assert (watch.skipped, watch.in_a_row, watch.restores, watch.rate) == (4, 0, 1, 0.5)
    again = guard()
    again.load_state_dict(watch.state_dict())
    assert (again.restores, again.rate) == (1, 0.5), "the host's part is read again"


def test_a_sentence_names_what_to_lower():
    watch = Guard(Settings(adversary=AdversarySettings(weight=3.0), training={"restores": 0}))
    with pytest.raises(UserError) as caught:
        watch.give_up("words")
    for words in ("training.lr 0.0004", "adversary.lr", "adversary.weight 3", "training.clip"):
        assert words in str(caught.value)
    with pytest.raises(UserError) as caught:
        Guard(Settings(training={"restores": 0})).give_up("words")
    assert "adversary" not in str(caught.value)
    assert Guard(Settings()).give_up("words") is None


def test_a_checkpoint_is_good_if_all_was_calm(tmp_path):
    watch = guard()
    assert is_good(tmp_path), "older ones have no guard"
    for value, good in ((1.0, True), (torch.nan, False)):
        watch.judge(norm(value), FINE)
        save_file(dict(watch.state_dict()), tmp_path / "guard.safetensors")
        assert is_good(tmp_path) == good
