import pytest
import torch

from hiresvae.uses.directions import direction, in_units, ridge, varies


@pytest.fixture
def latents():
    """600 latents in which attribute i moves latent i, and the second one correlates with it."""
    rng = torch.Generator().manual_seed(0)
    first = torch.randn(600, generator=rng)
    second = 0.8 * first + 0.6 * torch.randn(600, generator=rng)
    z = 0.3 * torch.randn(600, 5, generator=rng)
    z[:, 0] += 2 * first
    z[:, 1] += 1.0 * second
    return z, first.double(), second.double()


def test_half_the_difference_of_class_means():
    z = torch.tensor([[0.0, 1], [2, 1], [4, 5], [6, 9]])
    step = direction(z, torch.tensor([0.0, 0, 1, 1]))
    assert torch.allclose(step, torch.tensor([2.0, 3.0]))


@pytest.mark.parametrize("method", ["means", "normal"])
@pytest.mark.parametrize("binary", [False, True])
def test_a_known_direction_is_found_and_the_other_left_alone(latents, method, binary):
    z, first, second = latents
    values = (first > 0).double() if binary else first
    step = direction(z, values, second[:, None], method=method)
    assert step[0] > 0.5
    assert step[0] / step.norm() > 0.95
    alone = direction(z, first)
    assert alone[1] > 0.5, "without keeping the second one it comes along"
    assert abs(step[1]) < 0.35 * alone[1]


def test_a_number_moves_by_its_standard_deviation(latents):
    z, first, _ = latents
    for method in ("means", "normal"):
        step = direction(z, 10 * first, method=method)
        assert step[0] == pytest.approx(2 * float(first.std()), rel=0.1), "whatever its scale"


def test_a_rare_attribute_is_kept_though_it_is_nearly_always_the_same():
    rng = torch.Generator().manual_seed(0)
    rare = torch.zeros(4000).double()
    rare[:8] = 1
    both = torch.zeros(4000).double()
    both[4:20] = 1
    z = 0.1 * torch.randn(4000, 2, generator=rng).double()
    z[:, 0] += both
    z[:, 1] += 2 * rare
    alone, kept = direction(z, both), direction(z, both, rare[:, None])
    # A quarter of those that have the one have the other, which moves the second latent.
    assert alone[1] == pytest.approx(0.25, abs=0.05)
    assert abs(kept[1]) < 0.05


def test_what_says_the_same_is_not_kept(latents):
    z, first, _ = latents
    alone = direction(z, first)
    assert torch.equal(direction(z, first, torch.stack([first, -3 * first], 1)), alone)


def test_units():
    assert in_units(torch.tensor([3.0, 5, 3])).tolist() == [-1, 1, -1]
    units = in_units(torch.arange(10).double())
    assert abs(units.mean()) < 1e-9
    assert units.std() == pytest.approx(1)


def test_nothing_to_learn_from_is_a_sentence(refused):
    torch.manual_seed(0)
    z = torch.randn(4, 2)
    with refused("is 1 for all 4 pictures"):
        direction(z, torch.ones(4))
    with refused("at least 2 pictures with it"):
        direction(z, torch.tensor([0.0, 0, 0, 1]))
    with refused("too few to keep 3"):
        direction(z, torch.tensor([0.0, 0, 1, 1]), torch.randn(4, 3))


@pytest.mark.parametrize("dims", [5, 40])
def test_a_shrunk_fit_is_that_of_its_penalty_with_few_numbers_and_with_many(dims):
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(20, dims, generator=rng, dtype=torch.float64) + 1
    targets = torch.randn(20, 3, generator=rng, dtype=torch.float64)
    weights, biases = (x.clone().requires_grad_() for x in ridge(z, targets, penalty=0.1))
    errors = (targets - z @ weights - biases).square().sum() / len(z)
    shrink = 0.1 * z.var(0, correction=0).mean()
    (errors + shrink * weights.square().sum()).backward()
    # Nothing is gained by any change of either.
    assert weights.grad.abs().max() < 1e-9 and biases.grad.abs().max() < 1e-9


def test_what_is_the_same_but_for_rounding_is_the_same(latents, refused):
    z, first, _ = latents
    values = 40 + 1e-9 * first
    assert varies(first) and varies(1e-9 * first) and not varies(values)
    assert not varies(torch.zeros(3)) and not varies(torch.full((3,), torch.nan))
    with refused("the attribute is 40 for all 600 pictures"):
        direction(z, values)
