"""Two processes of which one is told to stop, or dies: the other follows, and says why."""

import json
import signal

import pytest

pytestmark = pytest.mark.slow
PAUSED = """
# Both processes run a command; in the one that is named a function says that it was reached, and
# waits there for its end.
import importlib, os, pathlib, sys, time
import torch
torch.set_num_threads(1)
from hiresvae.cli import main

reached, rank, owner, name, *words = sys.argv[1:]
if os.environ["RANK"] == rank:
    module, _, inner = owner.partition(":")
    place = importlib.import_module(module)
    place = getattr(place, inner) if inner else place
    def pause(*_, **__):
        pathlib.Path(reached).touch()
        time.sleep(600)
    setattr(place, name, pause)
main(words)
"""
SLOWLY = """
# A source that decodes so slowly that somebody can die meanwhile.
import pathlib, sys, time
from hiresvae.cli import main
from hiresvae.data import store
real = store.attempt
def slow(*given):
    pathlib.Path(sys.argv[1]).touch()
    time.sleep(0.5)
    return real(*given)
store.attempt = slow
main(sys.argv[2:])
"""


def seen(run):
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["images"] for line in lines if line.endswith("}")]


def command(tiny, run, *words):
    chosen = ("training.images=100000", *words)
    return ["train", str(tiny), "--out", str(run), *(f"--set={word}" for word in chosen)]


def ends_with_the_sentence(end):
    code, said = end
    assert code == 2 and "Traceback" not in said, said
    assert said.splitlines()[-1].startswith("hiresvae: another process of this run has ended")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("told", [(0,), (1,), (0, 1)], ids=["first", "second", "both"])
def test_told_to_stop_two_processes_save_one_state(start, train, tiny, tmp_path, number, told):
    run = tmp_path / "run"
    both = start("-m", "hiresvae", *command(tiny, run), count=2)
    both.wait(lambda: len(seen(run)) > 1)
    for rank in told:
        both.processes[rank].send_signal(number)
    ends = both.ends()
    own = [number if rank in told else signal.SIGINT for rank in (0, 1)]
    assert [code for code, _ in ends] == [128 + each for each in own], ends
    for each, (_, said) in zip(own, ends, strict=True):
        words = "stopped by SIGTERM" if each == signal.SIGTERM else "interrupted"
        assert f"hiresvae: {words} (state saved)" in said
    newest = max((run / "checkpoints").glob("[0-9]*"))
    images = json.loads((newest / "manifest.json").read_text())["images"]
    train(run, f"training.images={images + 16}")
    assert seen(run)[-1] == images + 16, "one process goes on where two were"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_one_process_saves_its_state(start, train, tiny, tmp_path, number):
    run = tmp_path / "run"
    alone = start("-m", "hiresvae", *command(tiny, run))
    alone.wait(lambda: len(seen(run)) > 1)
    alone.processes[0].send_signal(number)
    ((code, said),) = alone.ends()
    assert code == 128 + number and "(state saved)" in said, said
    newest = max((run / "checkpoints").glob("[0-9]*"))
    images = json.loads((newest / "manifest.json").read_text())["images"]
    train(run, f"training.images={images + 16}")
    assert seen(run)[-1] == images + 16


@pytest.mark.parametrize("dies", [0, 1])
def test_one_that_dies_while_training_ends_the_other_with_a_sentence(
    start, train, tiny, tmp_path, dies
):
    run = tmp_path / "run"
    both = start("-m", "hiresvae", *command(tiny, run), count=2)
    both.wait(lambda: len(seen(run)) > 2)
    both.processes[dies].kill()
    ends_with_the_sentence(both.ends()[1 - dies])
    images = max(int(path.name) for path in (run / "checkpoints").glob("[0-9]*"))
    train(run, f"training.images={images + 16}")
    assert seen(run)[-1] == images + 16


@pytest.mark.parametrize(
    ("dies", "owner", "name"),
    [
        (0, "hiresvae.training.snapshots:Snapshots", "take"),
        (1, "accelerate:Accelerator", "wait_for_everyone"),
        (0, "accelerate:Accelerator", "save_state"),
        (1, "accelerate:Accelerator", "save_state"),
        (0, "hiresvae.training.checkpoint", "save_file"),
    ],
    ids=["snapshot", "waiting", "checkpoint", "the other's checkpoint", "beside a checkpoint"],
)
def test_one_that_dies_while_saving_ends_the_other_with_a_sentence(
    start, train, tiny, tmp_path, dies, owner, name
):
    run, reached = tmp_path / "run", tmp_path / "reached"
    train(run, "training.images=16")
    words = command(tiny, run, "training.snapshot=32")
    both = start("-c", PAUSED, str(reached), str(dies), owner, name, *words, count=2)
    both.wait(reached.exists)
    both.processes[dies].kill()
    ends_with_the_sentence(both.ends()[1 - dies])
    train(run, "training.images=48")
    assert seen(run)[-1] == 48, "the last state is whole"


@pytest.mark.parametrize("dies", [0, 1])
def test_one_that_dies_while_evaluating_ends_the_other_with_a_sentence(
    start, trained, tmp_path, dies
):
    reached, out = tmp_path / "reached", tmp_path / "report.json"
    words = ["evaluate", str(trained), "--out", str(out), "--samples", "16", "--features", "none"]
    where = ("hiresvae.uses.evaluate_model", "share")
    both = start("-c", PAUSED, str(reached), str(dies), *where, *words, count=2)
    both.wait(reached.exists)
    both.processes[dies].kill()
    ends_with_the_sentence(both.ends()[1 - dies])
    assert not out.exists()


def test_one_that_dies_while_decoding_ends_the_other_with_a_sentence(start, tiny, tmp_path):
    run, decoding = tmp_path / "run", tmp_path / "decoding"
    words = command(tiny, run, f"data.cache={tmp_path / 'cache'}")
    both = start("-c", SLOWLY, str(decoding), *words, count=2)
    both.wait(decoding.exists)
    both.processes[0].kill()
    ends_with_the_sentence(both.ends()[1])
