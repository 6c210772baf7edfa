"""The sign and size of all that a decoder is told by the critic, worked out by hand.

The critic is known in full: its logit, its features and its classifier are linear in the picture.
The decoder is one number a row: picture i is ``gain_i * base_i``, and all gains start at 1.
"""

import math

import pytest
import torch
from torch import Tensor, nn

from hiresvae.adversarial import AdversarySettings
from hiresvae.adversary.adversary import Adversary
from hiresvae.adversary.averages import Averages
from hiresvae.adversary.discriminator import Judgement
from hiresvae.seeding import Noise, Shard

REAL = [[0.5, -0.5], [1.0, 0.25], [-0.75, 0.5], [0.25, 1.0]]
BASE = [[1.0, 0.5], [-0.5, 0.75], [0.25, -1.0], [0.75, 0.5]]
LABELS = [0, 1, 1, 0]
RECONSTRUCTIONS, SAMPLES = (0, 2), (1, 3)
SLOPE = [0.5, -1.5]
CLASSES = [[1.0, 0.5], [-0.5, 2.0]]
"""The classifier's weights: row k is what class k looks like."""
STRETCH = 3.0
"""What the classifier is given is the picture times this."""
WEIGHT = 0.3


class Known(nn.Module):
    embedding_dim, class_dim, classes = 2, 2, 2

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(SLOPE)[:, None])

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Judgement:
        flat = images.flatten(1)
        seen = STRETCH * flat
        logits = seen @ torch.tensor(CLASSES).T
        return Judgement(flat @ self.slope, {1: flat}, None, flat, logits, seen)


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def felt(**chosen: float | str) -> list[float]:
    """What each gain is told, through a backward that passes the critic's gradient on."""
    off = {"weight": 0.0, "feature_matching": 0.0, "classifier": 0.0, "condition": "classifier"}
    settings = AdversarySettings(**{"augment": [], **off, **chosen})  # type: ignore[arg-type]
    critic = Known()
    averages = Averages(settings, critic)  # type: ignore[arg-type]
    opponent = Adversary(settings, averages)
    real, base, labels = torch.tensor(REAL), torch.tensor(BASE), torch.tensor(LABELS)
    paired = torch.tensor([row in RECONSTRUCTIONS for row in range(4)])
    gains = torch.ones(4, requires_grad=True)
    made = (gains[:, None] * base)[:, :, None, None]

    def judge(fakes: Tensor):
        return opponent.judge(
            critic, real[:, :, None, None], fakes, labels, paired=paired,
            noise=Noise(0, 0, Shard(4, 0, 4)), penalty=False,
        )  # fmt: skip

    opponent.observe(judge(made).observed, 4)
    verdict = judge(made)
    (push,) = torch.autograd.grad(opponent.model_loss(verdict, 1.0), verdict.fakes)
    made.backward(push)
    assert critic.slope.grad is None
    assert gains.grad is not None
    return gains.grad.tolist()


@pytest.mark.parametrize("loss", ["relativistic", "non_saturating", "hinge", "least_squares"])
def test_sign_reversed_the_decoder_is_told_to_lift_its_logits_by_hand(loss):
    expected = []
    for real, base in zip(REAL, BASE, strict=True):
        r, f = dot(SLOPE, real), dot(SLOPE, base)
        lift = {
            "relativistic": sigmoid(r - f),
            "non_saturating": sigmoid(-f),
            "hinge": 1.0,
            "least_squares": 1 - f,
        }[loss]
        expected.append(-WEIGHT / 4 * lift * f)  # d logit / d gain is the logit itself
    assert felt(weight=WEIGHT, loss=loss) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["l1", "squared"])
def test_feature_matching_sign_the_decoder_is_told_to_come_nearer_its_original_by_hand(kind):
    expected = [0.0] * 4
    for row in RECONSTRUCTIONS:
        off = [f - r for f, r in zip(BASE[row], REAL[row], strict=True)]
        towards = [math.copysign(1, o) for o in off] if kind == "l1" else off
        expected[row] = WEIGHT / 2 * dot(towards, BASE[row]) / 2
    assert felt(feature_matching=WEIGHT, feature_distance=kind) == pytest.approx(expected)


def test_feature_matching_sign_of_the_classifiers_features_by_hand():
    expected = [0.0] * 4
    for row in RECONSTRUCTIONS:
        off = [STRETCH * (f - r) for f, r in zip(BASE[row], REAL[row], strict=True)]
        expected[row] = WEIGHT / 2 * STRETCH * dot(off, BASE[row]) / 2
    assert felt(classifier_matching=WEIGHT) == pytest.approx(expected)


def test_label_that_pulls_the_wrong_way_the_decoder_is_told_to_look_like_its_class_by_hand():
    expected = []
    for base, label in zip(BASE, LABELS, strict=True):
        logits = [STRETCH * dot(own, base) for own in CLASSES]
        total = sum(math.exp(logit) for logit in logits)
        # d (-ln softmax) / d logit_k = p_k - [k = label], and d logit / d gain is the logit.
        rows = [(math.exp(v) / total - (k == label)) * v for k, v in enumerate(logits)]
        expected.append(WEIGHT / 4 * sum(rows))
    assert felt(classifier=WEIGHT) == pytest.approx(expected, rel=1e-4)


def mean(rows: list[list[float]]) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def gap(made: list[int], real: list[int]) -> list[float]:
    one, other = mean([BASE[i] for i in made]), mean([REAL[i] for i in real])
    return [a - b for a, b in zip(one, other, strict=True)]


def test_feature_matching_centre_samples_are_told_the_gap_of_all_means_by_hand():
    expected = [0.0] * 4
    for row in SAMPLES:
        expected[row] = WEIGHT / 2 * dot(gap([*SAMPLES], [0, 1, 2, 3]), BASE[row]) / 2
    assert felt(loss="mean_features", mean_matching=WEIGHT) == pytest.approx(expected)


def test_feature_matching_centre_samples_are_told_the_gap_of_their_own_class_by_hand():
    """`facenet`, issue 85: one centre for all, not one per class."""
    expected = [0.0] * 4
    for row in SAMPLES:
        own = [i for i in range(4) if LABELS[i] == LABELS[row]]
        off = [STRETCH * g for g in gap([i for i in own if i in SAMPLES], own)]
        expected[row] = WEIGHT / 2 * STRETCH * dot(off, BASE[row]) / 2
    assert felt(loss="mean_features", class_mean_matching=WEIGHT) == pytest.approx(expected)
