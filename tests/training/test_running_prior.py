import math

import pytest
import torch

from hiresvae.training import running_prior
from hiresvae.training.running_prior import RunningGaussian
from tests.latents import clusters, correlated, normal


def test_running_fit_is_the_identity_at_first():
    running, noise = RunningGaussian(3, 1000, num_classes=2), normal(4, 3)
    assert torch.equal(running.sample(noise, torch.tensor([0, 1, 0, 1])), noise)


def test_running_fit_converges():
    z, mean, covariance = correlated(40_000, 5)
    running = RunningGaussian(5, 1e5, refresh=4)
    for batch in z.split(100):
        running.observe(*running.sums(batch), images=100)
    draws = running.sample(normal(50_000, 5, 11))
    torch.testing.assert_close(draws.mean(0), mean, atol=0.1, rtol=0)
    torch.testing.assert_close(draws.T.cov(), covariance, atol=0.3, rtol=0.1)


def test_running_fit_forgets():
    running = RunningGaussian(2, 500, refresh=1)
    for start in (10.0, -1.0):
        for i in range(100):
            running.observe(*running.sums(start + 0.5 * normal(50, 2, i)), images=50)
    draws = running.sample(normal(20_000, 2))
    torch.testing.assert_close(draws.mean(0), torch.full((2,), -1.0), atol=0.1, rtol=0)
    torch.testing.assert_close(draws.std(0), torch.full((2,), 0.5), atol=0.25, rtol=0)


def test_halves_of_a_batch_add_up():
    z, labels = clusters(64)
    whole, halves = (RunningGaussian(6, 1000, num_classes=3) for _ in range(2))
    whole.observe(*whole.sums(z, labels), images=64)
    parts = zip(halves.sums(z[:32], labels[:32]), halves.sums(z[32:], labels[32:]), strict=True)
    halves.observe(*(a + b for a, b in parts), images=64)
    torch.testing.assert_close(halves.state_dict(), whole.state_dict(), rtol=1e-5, atol=1e-5)


def test_running_fit_of_classes():
    z, labels = clusters(6000)
    running = RunningGaussian(6, 1e5, num_classes=4, refresh=1)
    for batch, names in zip(z.split(100), labels.split(100), strict=True):
        running.observe(*running.sums(batch, names), images=100)
    wanted = torch.arange(4000) % 4
    draws = running.sample(normal(4000, 6, 2), wanted)
    for k in range(3):
        torch.testing.assert_close(
            draws[wanted == k].mean(0), 5 * torch.eye(6)[k], atol=0.15, rtol=0
        )
    torch.testing.assert_close(draws[wanted == 3].mean(0), z.mean(0), atol=0.15, rtol=0)
    torch.testing.assert_close(draws[wanted == 0].std(0), torch.full((6,), 0.5), atol=0.1, rtol=0)


def test_each_class_has_a_covariance_and_a_rare_one_leans_on_that_of_all(monkeypatch):
    z, labels = normal(6000, 3), torch.arange(6000) % 2
    z = z * torch.where(labels[:, None] == 1, torch.tensor([3.0, 1.0, 0.2]), torch.ones(3))
    shared = torch.cat([z[labels == k] for k in (0, 1)]).std(0)

    def spreads(running):
        for batch, names in zip(z.split(100), labels.split(100), strict=True):
            running.observe(*running.sums(batch, names), images=100)
        draws = [running.sample(normal(4000, 3, k), torch.full((4000,), k)) for k in range(3)]
        return torch.stack([draw.std(0) for draw in draws])

    apart = spreads(RunningGaussian(3, 1e5, num_classes=3, refresh=1))
    wanted = torch.stack([torch.ones(3), torch.tensor([3.0, 1.0, 0.2]), shared])
    torch.testing.assert_close(apart, wanted, atol=0.05, rtol=0.05)
    monkeypatch.setattr(running_prior, "MOST_NUMBERS", 26)  # three covariances are 27
    one = RunningGaussian(3, 1e5, num_classes=3, refresh=1)
    torch.testing.assert_close(spreads(one), shared.expand(3, 3), atol=0.05, rtol=0.05)
    assert one.scale_tril.shape == (1, 3, 3)


@pytest.mark.parametrize("classes", [1, 3])
def test_latents_that_hardly_vary_leave_no_class_without_a_root(classes):
    """One number is the same in all rows, one in the rows of a class: rounding alone is left."""
    running = RunningGaussian(4, 20_000, num_classes=classes, refresh=1)
    identity = running.scale_tril.clone()
    for i in range(600):
        labels = torch.arange(32) % 3
        z = normal(32, 4, i)
        z[:, 2], z[:, 3] = 0.7, 3.3 * labels - 1.7
        before = running.scale_tril.clone()
        running.observe(*running.sums(z, labels if classes > 1 else None), images=32)
        assert not (running.scale_tril == before).flatten(1).all(1).any()
    assert not torch.equal(running.scale_tril, identity)
    spread = running.scale_tril.square().sum(2).sqrt()
    assert (spread[:, 2] < 0.01).all() and ((spread[:, :2] - 1).abs() < 0.1).all()
    assert (spread[:, 3] < 0.02).all() if classes > 1 else (spread[:, 3] > 2).all()


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("most", [running_prior.MOST_NUMBERS, 0])
def test_a_state_of_version_0_1_goes_on(classes, most, monkeypatch):
    """There all classes share one covariance, whose buffers have no axis of classes."""
    monkeypatch.setattr(running_prior, "MOST_NUMBERS", most)
    z, labels = clusters(600)
    chosen = labels if classes > 1 else None
    known = RunningGaussian(6, 1000, num_classes=classes, refresh=1)
    known.observe(*known.sums(z, chosen), images=600)
    own = known.z_sum / known.count[:, None]
    shared = (z.T @ z - known.z_sum.T @ own) / known.count.sum()
    root = torch.linalg.cholesky(shared)
    state = known.state_dict() | {"outer_sum": z.T @ z, "scale_tril": root}
    running = RunningGaussian(6, 1000, num_classes=classes, refresh=1)
    running.load_state_dict(state)
    noise, wanted = normal(9, 6), torch.arange(9) % classes
    torch.testing.assert_close(
        running.sample(noise, wanted), known.means[wanted] + noise @ root.T, rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(running.outer_sum.sum(0), z.T @ z, rtol=1e-4, atol=1e-3)
    found, few = shared.diagonal(), 6 / 606
    nothing = torch.zeros_like(known.z_sum), torch.zeros_like(running.outer_sum)
    running.observe(*nothing, torch.zeros_like(known.count), images=1)
    for tril in running.scale_tril:
        expected = torch.lerp(shared, found.diag(), max(few, 0.01))
        torch.testing.assert_close(tril @ tril.T, expected, rtol=0.02, atol=0.02)


def test_running_fit_ignores_what_is_not_finite():
    running = RunningGaussian(2, 1000, refresh=1)
    bad = running.sums(torch.full((4, 2), math.nan))
    running.observe(*bad, images=4)
    assert torch.equal(running.sample(normal(3, 2)), normal(3, 2))
    running.observe(*running.sums(normal(500, 2)), images=500)
    before = running.sample(normal(3, 2))
    huge = running.sums(torch.tensor([[1e20, 1.0]]))  # its square is not
    assert huge[0].isfinite().all()
    for sums in (bad, huge):
        running.observe(*sums, images=4)
        torch.testing.assert_close(running.sample(normal(3, 2)), before)


def test_continued_running_fit_refreshes_when_it_would_have():
    steps = [normal(20, 3, i) for i in range(12)]
    whole, first = RunningGaussian(3, 1000, refresh=5), RunningGaussian(3, 1000, refresh=5)
    for i, batch in enumerate(steps):
        whole.observe(*whole.sums(batch), images=20)
        if i < 3:
            first.observe(*first.sums(batch), images=20)
    second = RunningGaussian(3, 1000, refresh=5)
    second.load_state_dict(first.state_dict())
    for batch in steps[3:]:
        second.observe(*second.sums(batch), images=20)
    noise = normal(4, 3)
    assert torch.equal(second.sample(noise), whole.sample(noise))


def test_running_fit_is_float32_under_autocast():
    running, z = RunningGaussian(3, 1000, refresh=1), normal(50, 3)
    with torch.autocast("cpu", torch.bfloat16):
        sums = running.sums(z)
        running.observe(*sums, images=50)
        draws = running.sample(z)
    torch.testing.assert_close(sums[1][0], z.T @ z)
    assert torch.equal(draws, running.sample(z))
