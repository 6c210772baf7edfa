import pytest
import torch

from hiresvae.distributions.gaussian import DiagonalGaussian
from hiresvae.models.contract import Drawn


def gaussian(mean: float, logvar: float) -> DiagonalGaussian:
    return DiagonalGaussian(torch.full((2, 3, 2, 2), mean), torch.full((2, 3, 2, 2), logvar))


def test_ladder_rate_is_zero_when_the_posterior_is_the_prior():
    q = gaussian(0.7, -1.0)
    assert (Drawn(q.mean, q, gaussian(0.7, -1.0)).rate() == 0).all()
    assert (Drawn(q.mean, gaussian(0, 0)).rate() == 0).all()


def test_ladder_rate_is_taken_against_the_prior_summed_over_latents():
    # 0.5 * (m1 - m2)^2 / v for equal variances, 12 latents.
    drawn = Drawn(torch.zeros(2, 3, 2, 2), gaussian(1.0, 0.0), gaussian(3.0, 0.0))
    assert drawn.rate().tolist() == pytest.approx([24.0, 24.0])
    assert Drawn(drawn.z, gaussian(1.0, 0.0)).rate().tolist() == pytest.approx([6.0, 6.0])


def test_a_latent_without_posterior_has_no_rate():
    with pytest.raises(ValueError, match="not drawn from a posterior"):
        Drawn(torch.zeros(1, 1, 1, 1)).rate()
