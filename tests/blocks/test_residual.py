import torch

from hiresvae.blocks.residual import Residual, residuals


def test_a_stack_starts_as_the_identity():
    state = torch.randn(4, 8, 8, 8)
    assert torch.equal(residuals(8, 5)(state), state)


def test_no_blocks_are_the_identity():
    state = torch.randn(2, 4, 1, 1)
    assert residuals(4, 0)(state) is state


def test_at_the_start_the_last_convolution_learns_and_the_gradient_passes_whole():
    block = Residual(4)
    state = torch.randn(2, 4, 6, 6, requires_grad=True)
    block(state).square().sum().backward()
    torch.testing.assert_close(state.grad, 2 * state.detach())
    assert (block.last.weight.grad != 0).any()
    assert (block.first.weight.grad == 0).all()


def test_once_it_has_weights_every_parameter_learns():
    block = Residual(4)
    torch.nn.init.normal_(block.last.weight)
    block(torch.randn(2, 4, 6, 6)).square().sum().backward()
    for name, parameter in block.named_parameters():
        assert (parameter.grad != 0).all(), name
