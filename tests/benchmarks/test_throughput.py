import json
import sys

import pytest
import torch
from PIL import Image

from benchmarks import rivals, throughput
from hiresvae.settings import DataSettings, Settings, TrainingSettings

SMALL = ("--set", "model.width=4", "--set", "model.max_width=8", "--set", "model.latent_dim=4")


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "little.yaml"
    path.write_text(
        "data: {size: 16}\ntraining: {batch_size: 4}\n"
        "adversary: {width: 4, max_width: 8, start: 0, ramp: 0}\n"
    )
    return path


@pytest.fixture(autouse=True)
def one_small_rival(monkeypatch):
    """A package that is installed, with one that is not."""

    class Layer(torch.nn.Module):
        def __init__(self, width):
            super().__init__()
            self.layer = torch.nn.Conv2d(3, width, 3, padding=1)

        def forward(self, x):
            return self.layer(x)

    small = rivals.Rival(
        "torch", "torch", lambda side, width: Layer(width),
        lambda network, x: network(x).square().mean(),
        lambda network, count, side: network(torch.randn(count, 3, side, side)),
    )  # fmt: skip
    gone = rivals.Rival("no_such_package", "no-such", small.make, small.loss, small.draw)
    monkeypatch.setattr(throughput, "RIVALS", {"small": small, "gone": gone})


def test_every_row_has_its_figures_and_the_picture_its_lines(config, tmp_path, monkeypatch, capsys):
    out, picture = tmp_path / "t.json", tmp_path / "t.png"
    words = [str(config), "--sides", "16", "17", "--repeats", "1", "--device", "cpu", *SMALL,
             "--out", str(out), "--picture", str(picture)]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["throughput.py", *words])
    throughput.main()
    report = json.loads(out.read_text())
    absent = report["not_measured"]
    assert absent["gone"] == "not measured: no_such_package is not installed (pip install no-such)"
    assert absent.keys() == {"gone", "lightweight-gan", "stylegan2-pytorch"}
    if not torch.cuda.is_available():
        assert "refuses to start without CUDA" in absent["stylegan2-pytorch"]
    rows = {(row["who"], row["task"]): row for row in report["rows"] if "who" in row}
    makers = ("hiresvae", "plain loop", "small")
    assert rows.keys() == {(who, task) for who in makers for task in ("training", "sampling")}
    for row in rows.values():
        assert row["side"] == 16 and row["batch"] == 4 and row["parameters"] > 0
        assert row["peak_memory_mib"] > 0 and row["operations_an_image"] > 0
        assert row["seconds_an_image"] == pytest.approx(1 / row["images_per_second"])
        assert 0 < row["share_of_convolution"] and 0 < row["share_of_product"]
    step = rows["hiresvae", "training"]["phases"]
    assert {"data", "encoder forward", "model backward", "critic optimiser"} <= step.keys()
    assert {"top latents", "decoder", "to bytes"} == rows["hiresvae", "sampling"]["phases"].keys()
    (refused,) = (row for row in report["rows"] if row["side"] == 17)
    assert "data.size" in refused["reason"], "a side that cannot be is told, the others are made"
    with Image.open(picture) as opened:
        assert opened.width > opened.height
    said = capsys.readouterr().out
    assert "images/s" in said and "no_such_package is not installed" in said


def test_operations_of_a_phase_are_counted():
    clock = throughput.Operations()
    with clock("product"):
        torch.ones(4, 8) @ torch.ones(8, 16)
    assert clock.seconds == {"product": [2.0 * 4 * 8 * 16]}


def test_a_rival_has_the_nearest_number_of_parameters():
    small = throughput.RIVALS["small"]
    for wanted in (1, 28 * 64, 28 * 67, 28 * 69, 10**9):
        network, count = small.of_size(16, wanted)
        assert count == sum(p.numel() for p in network.parameters())
        assert all(abs(count - wanted) <= abs(28 * width - wanted) for width in rivals.WIDTHS)


def test_memory_that_runs_out_costs_a_row_and_no_more(config, monkeypatch):
    def full(*_):
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(throughput, "peak", lambda *_, **__: {"convolution": 1.0, "product": 1.0})
    for name in ("training", "plain_training", "sampling", "plain_sampling"):
        monkeypatch.setattr(throughput, name, full)
    monkeypatch.setattr(type(throughput.RIVALS["small"]), "figures", full)
    rows = throughput.measured(config, 16, [], throughput.PIXELS, 1, "cpu", ["small"])
    assert len(rows) == 6 and {row["reason"] for row in rows} == {"memory ran out"}
    assert "memory ran out" in throughput.words(rows[0])


def test_rivals_are_asked_in_their_own_environment(monkeypatch, tmp_path):
    """By an interpreter that is none: what it is asked is seen, and what it cannot is told."""
    monkeypatch.setattr(throughput, "RIVALS", rivals.RIVALS)
    gone = throughput.not_measured(str(tmp_path / "python"), "cpu")
    assert gone.keys() >= rivals.RIVALS.keys()
    assert all("cannot be started" in gone[name] for name in rivals.RIVALS)
    given = []

    def worker(python, script, words, folder, device):
        given.append((python, script, device))
        return None if rivals.main(words) == 0 else "not there"

    small = throughput.RIVALS["pythae VAE"]
    fake = rivals.Rival("torch", "torch", lambda side, width: torch.nn.Linear(side, width),
                        lambda network, x: network(x).square().mean(),
                        lambda network, count, side: network(torch.randn(count, side)))  # fmt: skip
    assert small.package == "pythae"
    monkeypatch.setitem(rivals.RIVALS, "pythae VAE", fake)
    monkeypatch.setattr(throughput, "worked", worker)
    settings = Settings(data=DataSettings(size=16), training=TrainingSettings(batch_size=2))
    found = throughput._rival("pythae VAE", "training", settings, 1, "cpu", "/there/python")()
    assert given == [("/there/python", "rivals.py", "cpu")]
    assert found["images_per_second"] > 0 and found["parameters"] > 0


def test_the_peak_is_measured_in_half_precision_too():
    assert throughput.peak("cpu", 1).keys() == {"convolution", "product"}
    halved = throughput.peak("cpu", 1, half=True)
    assert {"convolution_bf16", "product_bf16"} < halved.keys() and min(halved.values()) > 0
