import torch

from hiresvae.adversary.balance import gradient_at
from hiresvae.models.vae import VAE
from hiresvae.settings import ModelSettings
from hiresvae.training.gradients import NORMS, term_gradients
from hiresvae.training.objective import bound_loss


def test_each_term_is_told_where_it_pulls_and_leaves_no_gradient():
    torch.manual_seed(0)
    chosen = ModelSettings(pyramid="1x1 4x1 8", width=4, max_width=8, latent_dim=6, rung_dim=2)
    vae = VAE(chosen, size=8, channels=3)
    outputs = vae(torch.rand(2, 3, 8, 8), None, noise=lambda _, *shape: torch.randn(2, *shape))

    def bound_of(some):
        return bound_loss(some, 192, 0.5, 0.0)

    felt = 0.1 * outputs.reconstruction.sum()
    pulls = term_gradients(vae, outputs, bound_of, felt)
    norms = {name: pull.norm() for name, pull in zip(NORMS, pulls, strict=True)}
    places = ("", "_at_top")
    terms = ("rate", "distortion", "adversary")
    told = {f"{term}_gradient_norm{place}" for term in terms for place in places}
    assert norms.keys() == told | {"bound_gradient_norm"}
    assert norms.pop("rate_gradient_norm") == 0, "latents come before the last layer"
    assert all(norm > 0 for norm in norms.values())
    torch.testing.assert_close(norms["distortion_gradient_norm"], norms["bound_gradient_norm"])
    expected = gradient_at(felt, vae.last_layer).norm()
    torch.testing.assert_close(norms["adversary_gradient_norm"], expected)
    assert all(weight.grad is None for weight in vae.parameters())
    alone = term_gradients(vae, outputs, bound_of, None)
    assert len(alone) == 5 and all("adversary" in name for name in NORMS[5:])
    assert all(torch.equal(one, other) for one, other in zip(alone, pulls, strict=False))
