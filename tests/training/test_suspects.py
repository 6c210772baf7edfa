import pytest
import torch
from torch import nn

from hiresvae.training import suspects as module
from hiresvae.training.suspects import Gradients, Suspects


def figures(*values):
    return torch.tensor(values)


def test_what_is_finite_is_not_named_and_what_was_told_is_forgotten():
    suspects = Suspects()
    suspects.note(["a", "b"], figures(1.0, -2.0))
    assert suspects.words() == ""
    suspects.note(["a", "b"], figures(1.0, torch.nan))
    suspects.note(["a", "b"], figures(1.0, 2.0))
    assert suspects.words() == "not finite: b"
    assert suspects.words() == ""


def test_steps_that_tell_other_figures_add_up_in_the_order_of_a_step():
    suspects = Suspects()
    suspects.note(["rate", "critic"], figures(torch.inf, torch.nan))
    suspects.note(["rate", "r1"], figures(-torch.inf, torch.nan))
    assert suspects.words() == "not finite: rate, critic, r1"
    suspects.note([f"term{i}" for i in range(7)], torch.full((7,), torch.nan))
    assert suspects.words() == "not finite: term0, term1, term2, term3 and 3 more"


def test_the_first_parameter_of_each_network_is_named():
    suspects = Suspects()
    suspects.note(["stem", "mix", "head"], figures(1.0, torch.nan, torch.nan), "model")
    suspects.note(["verdict"], figures(torch.inf), "critic")
    gradients = (
        "the gradients of mix and 1 more in the model, the gradient of verdict in the critic"
    )
    assert suspects.words() == f"not finite: {gradients}"
    suspects.note(["verdict"], figures(torch.inf), "critic")
    assert suspects.words(gradients=False) == ""


def test_what_broke_on_another_process_is_named(monkeypatch):
    theirs = {"": ["rate", "critic"], "critic": ["verdict"]}
    monkeypatch.setattr(module, "gather_object", lambda own: [*own, theirs])
    suspects = Suspects()
    suspects.note(["rate", "r1"], figures(torch.nan, torch.nan))
    expected = "not finite: rate, r1, critic, the gradient of verdict in the critic"
    assert suspects.words(processes=2) == expected


def test_noting_waits_for_no_device(monkeypatch):
    suspects = Suspects()

    def wait(*_):
        raise AssertionError("the host was told a number")

    with monkeypatch.context() as patch:
        for name in ("item", "tolist", "__bool__", "__float__", "__int__"):
            patch.setattr(torch.Tensor, name, wait)
        for _ in range(2):
            suspects.note(["a"], figures(torch.nan))
    assert suspects.words() == "not finite: a"


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_norm_of_all_norms_is_the_one_of_torch_to_the_last_bit(wrapped):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Linear(7, 11))
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape)
    network[1].bias.grad = None
    names, norms = Gradients(nn.ModuleDict({"module": network}) if wrapped else network).norms()
    assert names == ("0.weight", "0.bias", "1.weight")
    given = [p.grad for p in network.parameters() if p.grad is not None]
    assert torch.equal(torch.linalg.vector_norm(norms), nn.utils.get_total_norm(given))
