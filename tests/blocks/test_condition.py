import torch

from hiresvae.blocks.condition import Modulate


def test_starts_as_the_identity_whatever_the_condition():
    state = torch.randn(4, 6, 5, 5)
    assert torch.equal(Modulate(6, 3)(state, 100 * torch.randn(4, 3)), state)


def test_scales_and_shifts_each_channel_of_each_row():
    modulate = Modulate(2, 1)
    with torch.no_grad():
        # Scales first, then shifts.
        modulate.project.weight.copy_(torch.tensor([[1.0], [0.0], [0.0], [-3.0]]))
    state, condition = torch.randn(3, 2, 4, 4), torch.tensor([[0.0], [1.0], [-0.5]])
    out = modulate(state, condition)
    for row, c in enumerate(condition.flatten().tolist()):
        torch.testing.assert_close(out[row, 0], state[row, 0] * (1 + c))
        torch.testing.assert_close(out[row, 1], state[row, 1] - 3 * c)


def test_learns_from_the_first_step():
    modulate = Modulate(4, 3)
    modulate(torch.randn(2, 4, 3, 3), torch.randn(2, 3)).square().sum().backward()
    assert (modulate.project.weight.grad != 0).all()
