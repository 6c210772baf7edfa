import numpy as np
import pytest
import torch
from scipy.ndimage import convolve

from hiresvae.metrics.laplacian import enlarged, laplacian_pyramid


def kernel() -> np.ndarray:
    row = np.array([1, 4, 6, 4, 1]) / 16
    return np.outer(row, row)


@pytest.mark.parametrize(("side", "sides"), [(64, [64, 32, 16]), (28, [28, 14]), (27, [27])])
def test_pyramid_has_scipys_bands_and_gives_the_picture_back(side: int, sides: list[int]) -> None:
    x = 255 * torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    bands = laplacian_pyramid(x, smallest=28)
    assert [band.shape[-1] for band in bands] == sides
    back = bands[-1]
    for band in bands[-2::-1]:
        back = band + enlarged(back, *band.shape[-2:])
    torch.testing.assert_close(back, x, atol=1e-3, rtol=1e-4)
    if len(bands) > 1:
        one = x[1, 2].double().numpy()
        small = convolve(one, kernel(), mode="mirror")[::2, ::2]
        wide = np.zeros_like(one)
        wide[::2, ::2] = small
        band = one - convolve(wide, 4 * kernel(), mode="mirror")
        np.testing.assert_allclose(bands[0][1, 2].numpy(), band, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("side", [7, 8, 28])
def test_a_pyramid_of_a_constant_is_zero(side):
    *bands, _ = laplacian_pyramid(torch.full((1, 3, side, side), 0.7), 4)
    assert len(bands) == {7: 2, 8: 2, 28: 4}[side]
    for band in bands:
        torch.testing.assert_close(band, torch.zeros_like(band), atol=1e-6, rtol=0)
