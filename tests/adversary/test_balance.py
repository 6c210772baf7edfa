import pytest
import torch

from hiresvae.adversarial import AdversarySettings
from hiresvae.adversary.adversary import Verdict
from hiresvae.adversary.balance import Balance, gradient_at


def balance(**chosen):
    chosen = {"balance": "gradient_ratio", "balance_every": 2, "balance_images": 16} | chosen
    return Balance(AdversarySettings(**chosen))


def test_the_gradient_at_a_weight_by_hand_and_zeros_where_there_is_none():
    weight = torch.nn.Parameter(torch.tensor([2.0, 3.0]))
    other = torch.nn.Parameter(torch.ones(2))
    loss = weight.square().sum()
    assert gradient_at(loss, weight).tolist() == [4.0, 6.0]
    assert gradient_at(loss, other).tolist() == [0.0, 0.0]
    assert weight.grad is None, "nothing is left behind"


def test_before_the_first_measurement_nothing_is_felt():
    assert balance().ratio == 0


def test_the_first_measurement_counts_in_full_and_later_ones_by_their_half_life():
    chosen = balance()
    chosen.observe(torch.tensor([3.0, 4.0]), torch.tensor([0.0, 0.5]), images=4)
    assert chosen.ratio.item() == pytest.approx(10.0)
    # 2 steps of 4 images lie between measurements: half of a half-life of 16.
    chosen.observe(torch.tensor([1.0]), torch.tensor([1.0]), images=4)
    old = 0.5**0.5
    expected = (old * 10.0 + 1.0) / (old + 1.0)
    assert chosen.ratio.item() == pytest.approx(expected)


def test_a_common_factor_changes_nothing():
    one, other = balance(), balance()
    one.observe(torch.tensor([3.0]), torch.tensor([2.0]), images=4)
    other.observe(torch.tensor([300.0]), torch.tensor([200.0]), images=4)
    assert one.ratio == other.ratio


def test_it_is_capped_also_where_the_adversary_pushes_nothing():
    chosen = balance(balance_cap=7.0)
    chosen.observe(torch.tensor([1.0]), torch.tensor([0.0]), images=4)
    assert chosen.ratio.item() == pytest.approx(7.0)


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_what_is_not_finite_changes_nothing(broken):
    chosen = balance()
    chosen.observe(torch.tensor([5.0]), torch.tensor([1.0]), images=4)
    before = {name: value.clone() for name, value in chosen.state_dict().items()}
    chosen.observe(torch.tensor([broken]), torch.tensor([1.0]), images=4)
    assert before == chosen.state_dict()


def test_only_the_adversarial_term_is_weighted():
    chosen = balance()
    chosen.observe(torch.tensor([6.0]), torch.tensor([2.0]), images=4)
    pictures, term = torch.zeros(2, 1, 2, 2), torch.tensor([1.0, 2.0])
    model = {"adversarial": term, "feature_matching": term}
    verdict = Verdict(pictures, model, {"critic": term}, term, term)
    felt = chosen.weighted(verdict)
    assert felt.model["adversarial"].tolist() == pytest.approx([3.0, 6.0])
    assert felt.model["feature_matching"] is term and felt.critic is verdict.critic
    assert verdict.model["adversarial"] is term, "what is told stays unweighted"


def test_it_is_due_every_so_many_steps():
    assert [balance(balance_every=3).due(number) for number in range(5)] == [
        True, False, False, True, False,
    ]  # fmt: skip
