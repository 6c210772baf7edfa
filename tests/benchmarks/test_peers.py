import json
from types import SimpleNamespace

import numpy as np
import peers
import peers_contest
import pytest
import torch
from peers_show import curves, firsts, markdown, sheet

STUB = """
import time
import torch

def train(task, watch):
    network = torch.nn.Linear(2, 3)
    watch.begin(network, lambda n: torch.rand(n, 3, task.side, task.side), batch=4, lr=0.5)
    while True:
        time.sleep(0.01)
        watch.step(4)
"""
METRICS = "texture,patches,diversity"


@pytest.fixture(scope="module")
def contest(tmp_path_factory, tiny):
    folder = tmp_path_factory.mktemp("peers")
    (folder / "stub.py").write_text(STUB)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    words = [
        "--size=16", "--marks=0.2,1", f"--peers={folder / 'stub.py'},{folder / 'gone.py'}",
        "--samples=16", "--features=none", f"--metrics={METRICS}", "--device=cpu",
        f"--runs={folder / 'runs'}", f"--out={folder / 'results'}", "--set=data.limit=150",
        f"--ours={tiny}",
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers, "FIRST", 8)
        peers.main(words)
    yield folder, words
    torch.set_num_threads(threads)


def results(folder):
    return folder / "results" / "embedded_paintings_16"


def summary(folder):
    return json.loads((results(folder) / "summary.json").read_text())


def test_the_table_has_a_row_for_each_contestant_and_budget(contest):
    folder, _ = contest
    found = summary(folder)
    keys = [(row["who"], row["mark"]) for row in found["rows"]]
    own = [("tiny", 0.2), ("tiny", 1.0)]
    assert keys == [("held-out pictures", None), ("stub", 0.2), ("stub", 1.0), *own]
    lines = (results(folder) / "summary.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 5 and len({line.count("|") for line in table}) == 1
    assert "sharpness ratio" in table[0] and "FID" not in table[0]
    assert [line.split(" | ")[0] for line in table[2:]] == [
        "| stub", "| tiny", "| stub", "| tiny", "| held-out pictures",
    ]  # fmt: skip


def test_who_cannot_be_run_is_told_with_the_reason(contest):
    folder, _ = contest
    reason = summary(folder)["absent"]["gone"]
    assert reason.endswith("gone.py is not there")
    assert f"- gone: {reason}" in (results(folder) / "summary.md").read_text()


def test_all_train_for_the_seconds_and_the_truth_is_told(contest):
    folder, _ = contest
    rows = {(row["who"], row["mark"]): row for row in summary(folder)["rows"]}
    assert 1 <= rows["stub", 1.0]["seconds"] < 3
    ours = rows["tiny", 1.0]
    assert ours["seconds"] == pytest.approx(ours["images"] / ours["images_per_second"], rel=0.05)
    (plans,) = (folder / "runs" / "embedded_paintings_16" / "own").glob("*/plans.json")
    planned = json.loads(plans.read_text())
    for mark in (0.2, 1.0):
        assert rows["tiny", mark]["images"] == planned[f"{mark:g}"]["images"] > 0
    assert planned["speed"] > 0 and ours["images"] % 8 == 0
    assert ours["parameters"] > 1000 and rows["stub", 1.0]["parameters"] == 9


def test_all_are_measured_alike(contest):
    folder, _ = contest
    measured = [set(row["figures"]) for row in summary(folder)["rows"]]
    assert all(names == measured[0] for names in measured) and "swd_samples" in measured[0]
    real = summary(folder)["rows"][0]["figures"]["sharpness_ratio_samples"]["value"]
    assert real == pytest.approx(1), "held-out pictures beside themselves"
    noise = summary(folder)["rows"][1]["figures"]["sharpness_ratio_samples"]["value"]
    assert noise > 2, "the stub draws noise"


def test_curves_and_samples_are_drawn(contest):
    folder, _ = contest
    from PIL import Image

    with Image.open(results(folder) / "curves.png") as drawn:
        assert drawn.size == (1210, 495)
    with Image.open(results(folder) / "samples.png") as drawn:
        width, height = drawn.size
    assert summary(folder)["sheet"] == ["stub", "tiny", "held-out pictures"]
    assert height == 3 * 18 - 2 and width in {columns * 18 - 2 for columns in (8, 9, 10)}


def test_peers_are_given_exactly_the_training_part(contest):
    folder, _ = contest
    from hiresvae.data import open_data
    from hiresvae.settings import DataSettings

    data = open_data(DataSettings(source="embedded:paintings", size=16, limit=150), progress=False)
    given = np.load(folder / "runs" / "embedded_paintings_16" / "train.npy")
    assert (given == data.pictures[data.train]).all() and len(data.held_out) > 0


def test_the_same_command_trains_and_measures_nothing_twice(contest, monkeypatch):
    folder, words = contest
    monkeypatch.setattr(peers, "FIRST", 8)
    before = summary(folder)
    kept = {file: file.stat().st_mtime_ns for file in folder.rglob("*.npy")}
    monkeypatch.setattr("hiresvae.commands.train.train", lambda *_, **__: pytest.fail("again"))
    monkeypatch.setattr(peers.Judge, "figures", lambda *_: pytest.fail("measured again"))
    peers.main(words)
    assert summary(folder) == before
    after = {file: file.stat().st_mtime_ns for file in folder.rglob("*.npy")}
    assert {f for f in kept if after[f] != kept[f]} == {f for f in kept if f.name == "train.npy"}


def test_a_contest_before_stands_in_the_same_table_and_curves(
    contest, tmp_path, monkeypatch, refused
):
    folder, words = contest
    judge = SimpleNamespace(asked=summary(folder)["asked"], plan=SimpleNamespace(network=None))
    fits = peers_contest.told_before(results(folder), judge)
    assert [(row["who"], row["mark"]) for row in fits] == [
        ("stub", 0.2), ("stub", 1.0), ("tiny", 0.2), ("tiny", 1.0),
    ]  # fmt: skip
    drawn = []
    monkeypatch.setattr(peers_contest, "curves", lambda rows, *_: drawn.append(rows))
    longer = [word for word in words if "--marks" not in word and "--out" not in word]
    longer += [
        "--marks=1", "--peers=", f"--out={tmp_path}", f"--earlier={results(folder)}",
    ]  # fmt: skip
    peers.main(longer)
    assert len(drawn[-1]) == 5, "those of before, one of them anew, and the held-out pictures"
    told = (tmp_path / results(folder).name / "summary.md").read_text().splitlines()
    shown = [line.split(" | ")[:2] for line in told if line.startswith(("| stub", "| tiny"))]
    assert shown == [["| stub", "0.2"], ["| tiny", "0.2"], ["| stub", "1"], ["| tiny", "1"]]
    with refused("was judged by other samples"):
        peers.main.__wrapped__([*longer, "--samples=17"])
    with refused("is where this contest goes"):
        peers.main.__wrapped__([*longer, f"--out={folder / 'results'}"])
    other = json.loads((results(folder) / "summary.json").read_text())
    other["rows"][1]["figures"]["sharpness_ratio_samples"]["features"] = {"sha256": "another"}
    (tmp_path / "summary.json").write_text(json.dumps(other))
    with refused("was judged by other feature network"):
        peers.main.__wrapped__([*longer, f"--earlier={tmp_path}"])
    (tmp_path / "summary.json").unlink()
    with refused("name a finished contest"):
        peers.main.__wrapped__([*longer, f"--earlier={tmp_path}"])


def test_an_interpreter_that_is_not_there_is_a_reason(contest, tmp_path, monkeypatch):
    folder, words = contest
    monkeypatch.setattr(peers, "FIRST", 8)
    monkeypatch.setattr(peers, "own", lambda *_: None)
    gone = str(folder / "gone.py")
    peers.main([*words, f"--peers={gone}", "--python=/no/python", f"--out={tmp_path}"])
    found = json.loads((tmp_path / "embedded_paintings_16" / "summary.json").read_text())
    assert "/no/python cannot be started" in found["absent"]["gone"]


@pytest.mark.parametrize("broken", [np.zeros((16, 3, 8, 8), np.uint8), None])
def test_samples_that_do_not_fit_are_a_reason_and_the_contest_goes_on(
    broken, contest, tmp_path, monkeypatch
):
    folder, words = contest
    monkeypatch.setattr(peers, "FIRST", 8)
    monkeypatch.setattr(peers, "own", lambda *_: None)
    file = folder / "runs" / "embedded_paintings_16" / "samples" / "stub" / "1.npy"
    whole = file.read_bytes()
    try:
        file.write_bytes(whole[:-100])
        if broken is not None:
            np.save(file, broken)
        peers.main([*words, f"--peers={folder / 'stub.py'}", f"--out={tmp_path}"])
    finally:
        file.write_bytes(whole)
    found = json.loads((tmp_path / "embedded_paintings_16" / "summary.json").read_text())
    assert [(row["who"], row["mark"]) for row in found["rows"]][1:] == [("stub", 0.2)]
    reason = found["absent"]["stub"]
    assert ("cannot be read" if broken is None else "uint8 3 x 8 x 8") in reason
    assert str(file) in reason


def test_a_training_that_missed_its_seconds_is_done_again_once(tmp_path, monkeypatch, tiny):
    trainings, entered = [], []

    def trained(job, runs, contest):
        (runs / job.name).mkdir(parents=True, exist_ok=True)
        trainings.append(job.images)
        speed = 1000.0 if job.images == 8 else 100.0  # a short training misleads
        seconds = job.images / speed
        return {"images": job.images, "seconds": seconds, "images_per_second": speed}

    monkeypatch.setattr(peers_contest, "trained", trained)
    monkeypatch.setattr(peers_contest, "drawn", lambda *given: given[-1])
    job = peers.Job("tiny", tiny, (), 8, 0)

    def ran():
        trainings.clear()
        contest = peers.Contest(tmp_path, tmp_path, [2.0, 4.0], 8, 0, None, None)
        monkeypatch.setattr(contest, "enter", lambda *given, **_: entered.append(given[2]))
        peers_contest.own(contest, job)
        return list(trainings)

    assert ran() == [8, 2000, 200, 400]
    assert [one["seconds"] for one in entered] == [2.0, 4.0]
    assert ran() == [200, 400], "what was decided stays"


def figure(value, low, high):
    interval = None if low is None else [low, high]
    return {"value": value, "interval": interval, "unit": "squared MMD", "better": "down"}


def test_who_is_first_is_said_surely_only_beyond_the_intervals():
    def row(who, value, low, high):
        figures = {"gkid_samples": figure(value, low, high)}
        return {"who": who, "mark": 900.0, "figures": figures, "ours": True, "seconds": 901.2}

    sure = firsts([row("a", 0.01, 0.008, 0.012), row("b", 0.05, 0.04, 0.06)])
    assert sure == ["Lowest KID at 900 s: a, beyond the 95 % intervals of all others"]
    near = [row("a", 0.05, 0.03, 0.07), row("b", 0.04, 0.03, 0.05)]
    assert firsts(near) == ["Lowest KID at 900 s: b"]
    assert "| a | 900 | 901.2 | - | - | 50 (30 to 70) |" in markdown(near, {}, [])


def test_a_curve_without_figures_is_no_fault(tmp_path):
    row = {"who": "a", "mark": 1.0, "seconds": 1.0, "ours": False, "figures": {}}
    curves([row], {}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert sheet([], tmp_path / "none.png") == [] and not (tmp_path / "none.png").exists()


def test_mistakes_are_told_before_anything_is_trained(tiny, tmp_path, refused, capsys):
    raw = peers.main.__wrapped__  # without what turns errors into words and exit code 2
    with refused("pythae_vae"):
        raw(["--peers=pythae_va"])
    other = tmp_path / "other.yaml"
    other.write_text(tiny.read_text().replace("limit: 48", "limit: 64"))
    with refused("different pictures"):
        raw(["--peers=", "--size=16", "--ours", str(tiny), str(other)])
    with refused("data.channels=3"):
        raw(["--peers=", "--size=16", f"--ours={tiny}", "--set=data.channels=1",
             "--set=data.limit=150", "--features=none", f"--runs={tmp_path}"])  # fmt: skip
    for marks in ("0", "nan", "inf", "300,nan"):
        with pytest.raises(SystemExit) as stop:
            peers.main([f"--marks={marks}"])
        told = capsys.readouterr().err
        assert stop.value.code == 2 and "above 0" in told and "Traceback" not in told
    with refused("metrics 'likelihood'"):
        raw(["--peers=", "--size=16", f"--ours={tiny}", "--metrics=likelihood",
             "--set=data.limit=150", f"--runs={tmp_path}"])  # fmt: skip


def test_what_no_peer_is_given_is_refused_first(refused, monkeypatch):
    raw = peers.main.__wrapped__
    monkeypatch.setattr(peers, "jobs_of", lambda *_: pytest.fail("went on"))
    for word, said in (
        ("--options=nobody={}", "'nobody={}'"),
        ("--options={}", "PEER=JSON"),
        ("--options=pythae_vae={", "no JSON"),
        ("--options=pythae_vae=3", "write options by name"),
        ("--python=pythae_va=/env/python", "did you mean 'pythae_vae'?"),
        ("--device=nowhere", "'nowhere' is not on this machine"),
    ):
        with refused(said):
            raw(["--peers=pythae_vae", word])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
def test_a_device_that_is_not_there_is_refused_before_any_peer(refused):
    with refused("'cuda' is not on this machine"):
        peers.main.__wrapped__(["--device=cuda"])


def test_ours_are_told_by_name_and_fit_the_default_side():
    jobs = peers.jobs_of(peers.parse([]))
    assert [job.title for job in jobs] == ["monet_cvaegan", "monet_vae", "monet_hybrid"]
    rungs = jobs[2].settings().model.pyramid
    assert "8x1" in rungs, "a ladder is among them"


def test_what_is_for_one_peer_is_not_for_others():
    found = peers.by_name(["/env=a/python", "b=/c/python"], ["b", "d"])
    assert found == ("/env=a/python", {"b": "/c/python"})


def test_a_misspelt_peer_is_no_path(tmp_path, monkeypatch, refused):
    with refused("did you mean '/x/b.py'?"):
        peers.by_name(["/x/c.py=/python"], ["/x/b.py"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "env=a").write_text("")
    assert peers.by_name(["env=a"], ["b"]) == ("env=a", {})
