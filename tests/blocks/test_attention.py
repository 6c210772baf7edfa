import pytest
import torch

from hiresvae.blocks.attention import Attention


def awake(channels: int = 8, heads: int = 4) -> Attention:
    attention = Attention(channels, heads)
    torch.nn.init.normal_(attention.out.weight)
    return attention


def test_starts_as_the_identity():
    state = torch.randn(3, 8, 4, 4)
    assert torch.equal(Attention(8)(state), state)


def test_is_the_formula_written_out_position_by_position():
    attention, state = awake(8, heads=2), torch.randn(1, 8, 3, 2)
    flat = attention.project(state).flatten(2)[0]
    mixed = []
    for head in range(2):
        query, key, value = (flat[8 * t + 4 * head :][:4] for t in range(3))
        query, key = query / query.norm(dim=0), key / key.norm(dim=0)
        # Unit vectors times sqrt(c) each, over sqrt(c): the logits are sqrt(c) times the cosine.
        share = (4**0.5 * query.T @ key).softmax(1)
        mixed.append(value @ share.T)
    expected = state + attention.out(torch.cat(mixed).view(1, 8, 3, 2))
    torch.testing.assert_close(attention(state), expected)


def test_permuting_positions_permutes_the_result():
    attention, state = awake(), torch.randn(2, 8, 4, 4)
    order = torch.randperm(16)
    shuffled = state.flatten(2)[..., order].view_as(state)
    expected = attention(state).flatten(2)[..., order].view_as(state)
    torch.testing.assert_close(attention(shuffled), expected)


def test_every_position_sees_every_other_but_no_other_picture():
    attention, state = awake(), torch.randn(2, 8, 4, 4)
    changed = state.clone()
    changed[0, :, 0, 0] += 3
    difference = (attention(changed) - attention(state)).abs()
    assert (difference[0].amax(0) > 1e-6).all()
    assert (difference[1] == 0).all()


def test_logits_stay_bounded_for_huge_states():
    out = awake()(1e6 * torch.randn(1, 8, 4, 4))
    assert out.isfinite().all()


def test_channels_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="6 channels do not divide into 4 heads"):
        Attention(6)
