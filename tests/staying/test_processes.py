"""Two processes of which one is told to stop, or dies: the other follows, and says why."""

import json
import signal

import pytest

pytestmark = pytest.mark.slow
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


@pytest.mark.parametrize("dies", [0, 1])
def test_one_that_dies_while_training_ends_the_other_with_a_sentence(
    start, train, tiny, tmp_path, dies
):
    run = tmp_path / "run"
    both = start("-m", "hiresvae", *command(tiny, run), count=2)
    both.wait(lambda: len(seen(run)) > 2)
    both.processes[dies].kill()
    code, said = both.ends()[1 - dies]
    assert code == 2, said
    assert said.splitlines()[-1].startswith("hiresvae: another process of this run has ended")
    assert "Traceback" not in said
    images = max(int(path.name) for path in (run / "checkpoints").glob("[0-9]*"))
    train(run, f"training.images={images + 16}")
    assert seen(run)[-1] == images + 16


def test_one_that_dies_while_decoding_ends_the_other_with_a_sentence(start, tiny, tmp_path):
    run, decoding = tmp_path / "run", tmp_path / "decoding"
    words = command(tiny, run, f"data.cache={tmp_path / 'cache'}")
    both = start("-c", SLOWLY, str(decoding), *words, count=2)
    both.wait(decoding.exists)
    both.processes[0].kill()
    code, said = both.ends()[1]
    assert code == 2 and "Traceback" not in said, said
    assert said.splitlines()[-1].startswith("hiresvae: another process of this run has ended")
