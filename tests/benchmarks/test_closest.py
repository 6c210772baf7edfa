import json

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import closest
from hiresvae.data import open_data
from hiresvae.generator import PictureModel, load


def test_copies_stand_first_above_what_they_copy(trained, tmp_path, monkeypatch, capsys):
    model = load(trained, device="cpu")
    data, size = open_data(model.settings.data), model.model.size
    copies = data.middles(data.train[:3], size)
    noise = torch.randint(0, 256, (9, *copies.shape[1:]), dtype=torch.uint8)
    monkeypatch.setattr(PictureModel, "sample", lambda *_, **__: torch.cat([noise, copies]))
    out, sheet = tmp_path / "closest.json", tmp_path / "closest.png"
    closest.main([str(trained), "--samples=12", f"--sheet={sheet}", f"--out={out}"])
    found = json.loads(out.read_text())["quantiles"]["0%"]
    assert found["samples"] < 1e-3 < found["held_out"]
    assert "the 10 closest pairs" in capsys.readouterr().out
    pairs = torch.from_numpy(np.asarray(Image.open(sheet)).copy()).permute(2, 0, 1)
    above, below = pairs[:, :size, :size], pairs[:, size + 2 :, :size]
    assert torch.equal(above, below), "a copy and its original"


def test_too_few_samples_are_refused(trained, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        closest.main([str(trained), "--samples=3", f"--sheet={tmp_path / 'x.png'}"])
    assert stop.value.code == 2 and "10 pairs" in capsys.readouterr().err
