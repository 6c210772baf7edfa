"""Real trainings of a second, each in a process of its own."""

import json
import subprocess
import sys

import pytest
import trainings
from trainings import ended, last_tick, speed, start, timed

from hiresvae.configuration import dump_settings, load_settings


@pytest.fixture
def config(tiny, tmp_path):
    path = tmp_path / "timed.yaml"
    path.write_text(dump_settings(timed(load_settings(tiny, []), 2, 3)))
    return path


def test_nothing_but_ticks_interrupts_the_steps(tiny):
    settings = timed(load_settings(tiny, []), 4, 5)
    training, adversary = settings.training, settings.adversary
    assert (training.images, training.tick) == (4 * 5 * 8, 4 * 8)
    assert min(training.snapshot, training.checkpoint) >= training.images
    assert (adversary.start, adversary.warmup, adversary.ramp) == (0, 0, 0)
    assert adversary.penalty_every == 2, "all else stays"
    assert timed(load_settings(tiny, ["adversary=null"]), 4, 5).adversary is None


@pytest.mark.parametrize("processes", [1, 2])
def test_a_training_tells_its_speed_and_its_memory(config, tmp_path, processes):
    run = tmp_path / "run"
    peak = ended(start(config, run, 1, processes))
    assert f"({processes} process" in run.with_suffix(".log").read_text()
    assert speed(run, 1) > 0
    if trainings.PROC.joinpath("self/status").is_file():
        assert 5e7 < peak < 5e9, "torch alone is more than 50 MB"


def lines(run, *given):
    run.mkdir()
    told = ({"images": images, "time": time} for images, time in given)
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in told))
    return run


def test_the_speed_is_the_median_between_ticks(tmp_path):
    run = lines(tmp_path / "run", (10, 100.0), (20, 110.0), (30, 112.0), (40, 113.0), (50, 118.0))
    assert speed(run, 1) == pytest.approx((2 + 5) / 2), "of 1, 5, 10 and 2 images/s"
    assert speed(run, 2) == pytest.approx(5)
    assert speed(run, 1, until=112.5) == pytest.approx(3)
    assert last_tick(run) == 118


def test_too_few_ticks_are_a_sentence(tmp_path, refused):
    with refused("1 ticks", "take more"):
        speed(lines(tmp_path / "run", (10, 100.0)), 1)


def test_a_training_that_fails_ends_the_other():
    calls = ["import sys; sys.exit(3)", "import time; time.sleep(600)"]
    both = [subprocess.Popen([sys.executable, "-c", call], text=True) for call in calls]
    with pytest.raises(trainings.UserError, match="ended with code"):
        ended(both)
    assert all(process.returncode for process in both)
