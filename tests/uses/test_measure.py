import torch

from hiresvae.uses.measure import measured, shows_skin


def test_grey_pictures_have_no_colour_to_measure(pictures):
    assert set(measured(pictures[:, :1])) == {"brightness"}
    grey = pictures[:, :1].expand(-1, 3, -1, -1)
    found = measured(grey)
    assert set(found) == {"brightness", "colourfulness"}
    assert (found["colourfulness"] == 0).all(), "rounding is no colour"


def test_skin_is_measured_where_most_pictures_show_it():
    face = torch.tensor([201, 150, 115], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    sea = torch.tensor([40, 90, 160], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    half = face.clone()
    half[:, :, :9] = sea[:, :, :9]
    assert shows_skin(torch.cat([face, sea, half])).tolist() == [True, False, False]
    assert "skin_tone" in measured(torch.cat([face, face, sea]))
    assert "skin_tone" not in measured(torch.cat([face, sea, sea]))
