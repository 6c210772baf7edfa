"""SIGKILL at random moments of every phase: what comes after is as if nothing had happened."""

import json

import pytest

pytestmark = pytest.mark.slow

FORKS = """
# Forks a phase twenty times and kills it at a random moment; then lets it end. One forks, so that
# torch is imported once. What it was doing is done anew in a fresh folder whenever it was finished.
import json, os, pathlib, random, shutil, signal, sys, time
import torch
torch.set_num_threads(1)
import hiresvae.commands.train, hiresvae.data, hiresvae.training.trainer
import hiresvae.uses.evaluate, hiresvae.uses.evaluate_model

phase, folder, settings, source = sys.argv[1], *map(pathlib.Path, sys.argv[2:5])

def work(out):
    os.environ["HIRESVAE_CACHE"] = str(out / "cache")
    if phase == "store":
        from hiresvae.data.decode import Framing
        from hiresvae.data.sources import folder_source
        from hiresvae.data.store import open_store
        open_store(folder_source(source, "s"), Framing(16), limit=None, cache=out / "cache",
                   progress=False)
    elif phase == "evaluate":
        hiresvae.uses.evaluate.evaluate(
            str(source), out / "report.json", samples=16, features="none", metrics="all",
            device="cpu")
    else:
        every = ["training.checkpoint=8", "training.snapshot=8"] if phase == "checkpoint" else []
        hiresvae.commands.train.train(settings, every, out=out / "run")
    (out / "done").touch()

def begin(out):
    out.mkdir(exist_ok=True)
    child = os.fork()
    if not child:
        code = 1
        try:
            sys.stderr = sys.stdout = open(out / "said", "a")
            work(out)
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    return child

def end(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

whole = time.monotonic()
assert end(begin(folder / "whole")) == 0, (folder / "whole" / "said").read_text()
whole = time.monotonic() - whole
rng, killed, codes, number = random.Random(phase), 0, [], 0
while killed < 20:
    out = folder / f"cut{number}"
    child = begin(out)
    time.sleep(rng.uniform(0, whole))
    os.kill(child, signal.SIGKILL)
    code = end(child)
    killed += code == -9
    codes.append(code)
    if (out / "done").exists():
        number += 1
    assert code in (-9, 0), (out / "said").read_text()
    assert len(codes) < 80, codes
last = folder / f"cut{number}"
assert end(begin(last)) == 0, (last / "said").read_text()
print(json.dumps({"killed": killed, "rounds": number + 1}))
"""


def twenty(python, phase, folder, tiny, source):
    """Returns the folder of the whole run and those of the runs that were cut again and again."""
    folder.mkdir()
    done = python("-c", FORKS, phase, str(folder), str(tiny), str(source))
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["killed"] == 20
    return folder / "whole", [folder / f"cut{i}" for i in range(told["rounds"])]


@pytest.mark.parametrize("phase", ["train", "checkpoint"])
def test_a_training_that_is_killed_ends_at_the_same_bits(
    phase, python, tiny, weights, content, tmp_path
):
    whole, cut = twenty(python, phase, tmp_path / "x", tiny, "-")
    for one in cut:
        assert weights(one / "run") == weights(whole / "run")
        assert content(one / "run").keys() == content(whole / "run").keys(), "nothing is left over"
        lines = [json.loads(x) for x in (one / "run" / "metrics.jsonl").read_text().splitlines()]
        assert [line["images"] for line in lines] == list(range(16, 129, 16))


def test_a_store_whose_building_is_killed_is_whole(python, tiny, content, tmp_path):
    from hiresvae.data import embedded
    from hiresvae.images import save

    source = tmp_path / "pictures"
    source.mkdir()
    drawn = embedded.load("paintings")
    import torch

    for i in range(80):
        save(torch.from_numpy(drawn.draw(i, seed=0, size=64)), source / f"{i}.png")
    whole, cut = twenty(python, "store", tmp_path / "x", tiny, source)
    for one in cut:
        assert content(one / "cache") == content(whole / "cache")


def test_an_evaluation_that_is_killed_tells_the_same(python, tiny, trained, tmp_path):
    whole, cut = twenty(python, "evaluate", tmp_path / "x", tiny, trained)
    figures = json.loads((whole / "report.json").read_text())["figures"]
    assert figures
    for one in cut:
        assert json.loads((one / "report.json").read_text())["figures"] == figures
        assert not list(one.glob(".*.part*")), "nothing is left over"
