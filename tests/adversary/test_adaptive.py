import pytest
import torch

from hiresvae.adversarial import AdversarySettings
from hiresvae.adversary.adaptive import EVERY, AugmentProbability, certainty
from hiresvae.adversary.augment import MOST


def adaptive(images: int = 1000) -> AugmentProbability:
    return AugmentProbability(
        AdversarySettings(augment_probability="adaptive", augment_images=images)
    )


def test_a_relativistic_critic_is_certain_of_its_pairs_wherever_its_logits_lie():
    real, fake = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 2.0, 4.0])
    for shift in (-100.0, 0.0, 100.0):
        assert certainty("relativistic", real + shift, fake + shift).tolist() == [1.0, 0.0, -1.0]
    assert certainty("non_saturating", real - 2, fake).tolist() == [-1.0, 0.0, 1.0]


def test_it_rises_while_the_critic_is_certain_and_falls_while_it_is_not():
    state = adaptive()
    for step in range(1, 5 * EVERY + 1):
        state.observe(torch.tensor(0.9), 10)
        # By the images of the steps that it took, over those of the setting.
        assert float(state.probability) == pytest.approx(step // EVERY * EVERY * 10 / 1000)
    for _ in range(2 * EVERY):
        state.observe(torch.tensor(0.3), 10)
    assert float(state.probability) == pytest.approx(3 * EVERY * 10 / 1000)


def test_it_stays_within_0_and_the_cap_and_at_the_target_where_it_is():
    state = adaptive(images=50)
    for _ in range(4 * EVERY):
        state.observe(torch.tensor(1.0), 10)
    assert float(state.probability) == pytest.approx(MOST)
    for _ in range(EVERY):
        state.observe(torch.tensor(0.6), 10)
    assert float(state.probability) == pytest.approx(MOST)
    for _ in range(8 * EVERY):
        state.observe(torch.tensor(-1.0), 10)
    assert float(state.probability) == 0.0


def test_it_rises_while_held_out_pictures_are_taken_for_made_ones():
    state = adaptive()
    state.watched(torch.tensor(1.0))
    for _ in range(2 * EVERY):
        state.observe(torch.tensor(0.3), 10)
    assert float(state.probability) == pytest.approx(2 * EVERY * 10 / 1000)
    state.watched(torch.tensor(0.0))
    for _ in range(EVERY):
        state.observe(torch.tensor(0.3), 10)
    assert float(state.probability) == pytest.approx(EVERY * 10 / 1000)


def test_a_statistic_that_is_no_number_does_not_last():
    state = adaptive()
    for value in [torch.nan] + [1.0] * (2 * EVERY - 1):
        state.observe(torch.tensor(value), 10)
    assert state.probability.isfinite() and state.probability > 0


def test_saved_between_two_changes_it_goes_on_as_if_never_stopped():
    whole, part = adaptive(), adaptive()
    signs = torch.tensor([0.9, 0.8, 0.1, 0.9, 0.7, 0.6, 0.9, 0.4])
    for sign in signs:
        whole.observe(sign, 10)
    for sign in signs[:6]:
        part.observe(sign, 10)
    again = adaptive()
    again.load_state_dict(part.state_dict())
    for sign in signs[6:]:
        again.observe(sign, 10)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_a_fixed_probability_does_not_move():
    state = AugmentProbability(AdversarySettings(augment_probability=0.25))
    for _ in range(2 * EVERY):
        state.observe(torch.tensor(1.0), 10)
    assert state.value == 0.25
