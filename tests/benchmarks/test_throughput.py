import contextlib
import dataclasses
import json
import sys
import time

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
        rivals.by_loss(lambda network, x: network(x).square().mean()),
        lambda network, count, side: network(torch.randn(count, 3, side, side)),
    )  # fmt: skip
    gone = rivals.Rival("no_such_package", "no-such", small.make, small.steps, small.draw)
    monkeypatch.setattr(throughput, "RIVALS", {"small": small, "gone": gone})


def test_every_row_has_its_figures_and_the_picture_its_lines(config, tmp_path, monkeypatch, capsys):
    out, picture = tmp_path / "t.json", tmp_path / "t.png"
    words = [str(config), "--sides", "16", "17", "--rounds", "2", "--device", "cpu", *SMALL,
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
        assert len(row["rounds"]) == 2 and row["seconds_an_image"] in row["rounds"]
        whole = sum(phase["seconds"] for phase in row["phases"].values())
        assert whole >= 0.99 * row["seconds_an_image"] * row["batch"]
        assert ("ours_times_as_fast" in row) is (row["who"] != "hiresvae")
    step = rows["hiresvae", "training"]["phases"]
    assert {"data", "encoder forward", "model backward", "critic optimiser"} <= step.keys()
    assert {"top latents", "decoder", "to bytes"} == rows["hiresvae", "sampling"]["phases"].keys()
    (refused,) = (row for row in report["rows"] if row["side"] == 17)
    assert "data.size" in refused["reason"], "a side that cannot be is told, the others are made"
    with Image.open(picture) as opened:
        assert opened.width > opened.height
    again = [*words, "--sides", "16", "32"]
    monkeypatch.setattr(sys, "argv", ["throughput.py", *again])
    monkeypatch.setattr(
        throughput,
        "measured",
        lambda config, side, plan: [{"config": config.stem, "side": side, "reason": "new"}],
    )
    throughput.main()
    more = json.loads(out.read_text())["rows"]
    assert more[:-1] == report["rows"], "what is measured already is kept"
    assert (more[-1]["side"], more[-1]["reason"]) == (32, "new")
    said = capsys.readouterr().out
    before = out.read_text()
    for extra, why in ((["--rounds", "3"], "(rounds 2, not 3)"), (["--pixels", "8"], "(pixels")):
        monkeypatch.setattr(sys, "argv", ["throughput.py", *again, *extra])
        with pytest.raises(SystemExit, match="2"):
            throughput.main()
        assert why in capsys.readouterr().err and out.read_text() == before
    out.write_text(before[:99])
    with pytest.raises(SystemExit, match="2"):
        throughput.main()
    assert "holds no figures" in capsys.readouterr().err
    assert (
        "images/s" in said
        and "times as fast" in said
        and "no_such_package is not installed" in said
    )


def test_a_rival_has_the_nearest_number_of_parameters():
    small = throughput.RIVALS["small"]
    for wanted in (1, 28 * 64, 28 * 67, 28 * 69, 10**9):
        sized = small.of_size(16, wanted)
        count = sized.parameters
        assert count == sum(p.numel() for p in sized.make().parameters())
        assert all(abs(count - wanted) <= abs(28 * width - wanted) for width in rivals.WIDTHS)
        assert (sized.note is not None) is (wanted in (1, 10**9)), "far off is told, near is not"
    one = dataclasses.replace(small, widths=(64,)).of_size(16, 28 * 32)
    assert one.parameters == 28 * 64
    assert one.note == "its networks come in one size, 2.00 times the parameters of our VAE"


def test_widths_that_are_only_counted_are_not_of_its_memory():
    wide = dataclasses.replace(
        throughput.RIVALS["small"], make=lambda side, width: torch.nn.Linear(side, width**2)
    )
    asked = rivals.Asked(16, 2, 17 * 64, 1e-3, 1, 1.0, "cpu")
    assert wide.contestant("training", asked).ready()["peak_memory_mib"] < 1


def plan(**chosen):
    given = {"rounds": 1, "repeats": 1, "seconds": 10.0, "device": "cpu"} | chosen
    return throughput.Plan([], throughput.PIXELS, **given)


def test_memory_that_runs_out_costs_a_row_and_no_more(config, monkeypatch):
    def full(*_):
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(throughput, "peak", lambda *_, **__: {"convolution": 1.0, "product": 1.0})
    monkeypatch.setattr(throughput.Here, "ready", full)
    rows = throughput.measured(config, 16, plan(present=["small"]))
    assert len(rows) == 6 and {row["reason"] for row in rows} == {"memory ran out"}
    assert "memory ran out" in throughput.words(rows[0])


def test_rivals_are_asked_turn_by_turn_in_their_own_environment(monkeypatch, tmp_path):
    """By an interpreter that is none: what it is asked is seen, and what it cannot is told."""
    monkeypatch.setattr(throughput, "RIVALS", rivals.RIVALS)
    gone = throughput.not_measured(str(tmp_path / "python"), "cpu")
    assert gone.keys() >= rivals.RIVALS.keys()
    assert all("cannot be started" in gone[name] for name in rivals.RIVALS)
    made = []

    class Worker:
        def __init__(self, python, script, words, folder, device):
            made.append((python, script, device))
            self.words = words

        def ask(self, wanted):
            asked = rivals.Asked(**json.loads(self.words[1].removeprefix("--asked=")))
            self.answer = getattr(self, "answer", None) or rivals.answers(fake, asked)
            return self.answer(wanted)

        def close(self):
            made.append("closed")

    small = throughput.RIVALS["pythae VAE"]
    fake = rivals.Rival("torch", "torch", lambda side, width: torch.nn.Linear(side, width),
                        rivals.by_loss(lambda network, x: network(x).square().mean()),
                        lambda network, count, side: network(torch.randn(count, side)))  # fmt: skip
    assert small.package == "pythae"
    monkeypatch.setattr(throughput, "Worker", Worker)
    settings = Settings(data=DataSettings(size=16), training=TrainingSettings(batch_size=2))
    with contextlib.ExitStack() as stack:
        rival = throughput._rival("pythae VAE", settings, plan(python="/there/python"), stack)
        for task in ("training", "sampling"):
            contestant = rival(task)
            counted = contestant.ready()
            assert counted["parameters"] > 0 and counted["batch"] == 2
            assert sum(contestant.turn().values()) > 0
        assert made == [("/there/python", "rivals.py", "cpu")], "one process for both tasks"
    assert made[1:] == ["closed"]


def test_rivals_are_not_tried_where_they_might_take_all_memory(config, monkeypatch):
    started = []
    monkeypatch.setattr(throughput, "Worker", lambda *given: started.append(given))
    monkeypatch.setattr(throughput, "RIVALS", rivals.RIVALS)
    for name, rival in rivals.RIVALS.items():
        settings = Settings(data=DataSettings(size=512))
        made = throughput._rival(name, settings, plan(python="python"), contextlib.ExitStack())
        assert "not measured above 256 px" in made("training").ready()["reason"]
        assert rival.refuses(64) is None
    assert not started
    assert "divisible by 8" in rivals.RIVALS["diffusers AutoencoderKL"].refuses(60)


def test_what_takes_too_long_is_drawn_in_parts():
    slow = throughput.RIVALS["small"]

    def drawn(network, count, side):
        time.sleep(0.01 * count)
        return torch.zeros(count)

    slow = dataclasses.replace(slow, draw=drawn)
    asked = rivals.Asked(16, 16, 28 * 64, 1e-3, 1, 0.1, "cpu")
    counted = slow.contestant("sampling", asked).ready()
    assert 1 < counted["batch"] < 16 and counted["peak_memory_mib"] is None
    assert f"{counted['batch']} drawn at a time, not 16" in counted["note"]
    quick = slow.contestant("sampling", dataclasses.replace(asked, seconds=100.0)).ready()
    assert quick["batch"] == 16 and quick["peak_memory_mib"] is not None


def test_the_peak_is_measured_in_half_precision_too():
    assert throughput.peak("cpu", 1).keys() == {"convolution", "product"}
    halved = throughput.peak("cpu", 1, half=True)
    assert {"convolution_bf16", "product_bf16"} < halved.keys() and min(halved.values()) > 0
