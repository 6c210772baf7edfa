"""The linear autoencoder and what it must find: the subspace of principal components."""

import math
from collections.abc import Callable

import torch
from scipy.linalg import subspace_angles

from hiresvae.models.draws import FromPrior, Given
from hiresvae.models.vae import VAE
from hiresvae.training.codes import top_code

SIDE, DIMS = 8, 64


def decoded(model: VAE, z: torch.Tensor) -> torch.Tensor:
    walk = model.walk(Given([z[:, :, None, None]], FromPrior(None)), None, len(z))
    return model.likelihood(walk.head).mean.flatten(1)


def linear_model(make: Callable[..., VAE], **chosen: object) -> VAE:
    return make(
        backbone="dense", linear=True, hidden=[16], latent_dim=3, stochastic=False, channels=1,
        size=SIDE, scale=0.1, **chosen,
    )  # fmt: skip


def test_encoder_and_decoder_are_linear(make: Callable[..., VAE], awake: Callable) -> None:
    """Deep ones too: what is between the layers is the identity."""
    model = awake(linear_model(make).double())
    a, b = torch.randn(2, 5, 1, SIDE, SIDE, dtype=torch.float64)
    nothing = torch.zeros_like(a)

    def code(images: torch.Tensor) -> torch.Tensor:
        return top_code(model, images, None) - top_code(model, nothing, None)

    torch.testing.assert_close(code(a + 2 * b), code(a) + 2 * code(b), rtol=1e-4, atol=1e-4)
    y, z = torch.randn(2, 5, 3, dtype=torch.float64)
    at_0 = decoded(model, torch.zeros_like(y))
    both = decoded(model, y - 3 * z) - at_0
    expected = (decoded(model, y) - at_0) - 3 * (decoded(model, z) - at_0)
    torch.testing.assert_close(both, expected, rtol=1e-4, atol=1e-4)
    curved = make(backbone="dense", hidden=[16], latent_dim=3, channels=1, size=SIDE).double()
    bent = top_code(curved, a + b, None) - top_code(curved, a, None) - top_code(curved, b, None)
    assert (bent + top_code(curved, nothing, None)).abs().max() > 0.01


def test_the_code_spans_the_principal_components(make: Callable[..., VAE]) -> None:
    """Trained by the model's own distortion: what it decodes to, and what it encodes."""
    rng = torch.Generator().manual_seed(3)
    basis = torch.linalg.qr(torch.randn(DIMS, DIMS, generator=rng))[0]
    spread = torch.full((DIMS,), 0.05)
    spread[:3] = torch.tensor([0.5, 0.4, 0.3])
    data = torch.randn(200, DIMS, generator=rng) * spread @ basis.T + 0.2
    principal = torch.linalg.svd(data - data.mean(0), full_matrices=False)[2][:3].T
    model, images = linear_model(make), data.view(-1, 1, SIDE, SIDE)
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=400, history_size=20, line_search_fn="strong_wolfe"
    )

    def no_noise(*_: object) -> torch.Tensor:
        raise AssertionError("a plain autoencoder draws nothing")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = model(images, noise=no_noise).distortion.mean() / DIMS
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        columns = decoded(model, torch.eye(3)) - decoded(model, torch.zeros(1, 3))
        codes = top_code(model, images, None)
        error = model(images, noise=no_noise).error.mean().item()
    angle_of_decoder = math.degrees(subspace_angles(columns.T.numpy(), principal.numpy()).max())
    assert angle_of_decoder < 2
    # Over the pictures the codes are the components' scores, up to an invertible map of the three.
    centred = data - data.mean(0)
    codes, scores = (codes - codes.mean(0)).numpy(), (centred @ principal).numpy()
    assert math.degrees(subspace_angles(codes, scores).max()) < 5
    left = (centred - centred @ principal @ principal.T).square().mean().item()
    assert left <= error * 1.0001 and error < 1.01 * left, "no code of three numbers does better"
