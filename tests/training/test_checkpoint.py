import hashlib
import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from hiresvae.cli import main
from hiresvae.errors import UserError
from hiresvae.training import checkpoint


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def last(run):
    return checkpoint.latest(run / "checkpoints")


def refuses(run, tiny, content, capsys):
    """Runs the command; returns its one sentence after seeing that nothing was changed."""
    before = content(run)
    with pytest.raises(SystemExit) as caught:
        main(["train", str(tiny), "--out", str(run)])
    assert caught.value.code == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("hiresvae:")]
    after = content(run)
    assert after.pop("train.log").startswith(before.pop("train.log"))
    assert after == before
    (sentence,) = said
    return sentence


def test_the_newest_is_by_name_and_half_written_ones_do_not_count(tmp_path):
    assert checkpoint.latest(tmp_path / "none") is None
    for name in ("000000032", "000000100", ".000000200.part", ".000000300.old"):
        (tmp_path / name).mkdir()
    (tmp_path / "999").write_text("a file")
    assert checkpoint.latest(tmp_path).name == "000000100"


def test_the_manifest_names_every_file(last, trained):
    manifest = json.loads((last / "manifest.json").read_text())
    assert manifest["images"] == 128
    files = {path.name for path in last.iterdir()} - {"manifest.json"}
    assert files == manifest["sha256"].keys()
    assert {"model.safetensors", "model_1.safetensors", "optimizer.bin", "optimizer_1.bin",
            "average.safetensors", "running_prior.safetensors"} <= files  # fmt: skip


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.bin", "average.safetensors"])
def test_a_file_that_was_cut_is_refused(run, last, tiny, content, capsys, name):
    (last / name).write_bytes((last / name).read_bytes()[:-100])
    sentence = refuses(run, tiny, content, capsys)
    assert f"{name} is missing or cut" in sentence
    assert "remove that folder to continue from 000000096" in sentence


@pytest.mark.parametrize("words", [None, "", "[]", '{"images": "x", "sha256": {}}'])
def test_without_a_readable_manifest_it_is_refused(run, last, tiny, content, capsys, words):
    (last / "manifest.json").unlink()
    if words is not None:
        (last / "manifest.json").write_text(words)
    assert "no readable manifest.json" in refuses(run, tiny, content, capsys)


def test_one_of_another_model_is_refused(run, last, tiny, train, content, capsys, tmp_path):
    other = train(tmp_path / "other", "model.latent_dim=6", "training.images=8")
    shutil.rmtree(run / "checkpoints")
    shutil.copytree(other / "checkpoints", run / "checkpoints")
    sentence = refuses(run, tiny, content, capsys)
    assert "is of another model" in sentence
    assert sentence.endswith("add --fresh to start again")


def test_one_of_version_0_1_goes_on(train, tmp_path):
    """Its running fit has one covariance, and its augmentation heard of no held-out pictures."""
    chosen = (
        "model.conditional=true", "data.labels=set", "adversary.augment_probability=adaptive",
    )  # fmt: skip
    run = train(tmp_path / "run", *chosen, "training.images=64")
    newest = checkpoint.latest(run / "checkpoints")
    manifest = json.loads((newest / "manifest.json").read_text())
    for name in ("running_prior.safetensors", "augment.safetensors"):
        tensors = load_file(newest / name)
        tensors.pop("by_heart", None)
        for key in {"outer_sum", "scale_tril"} & tensors.keys():
            tensors[key] = tensors[key].sum(0)
        save_file(tensors, newest / name)
        manifest["sha256"][name] = hashlib.sha256((newest / name).read_bytes()).hexdigest()
    (newest / "manifest.json").write_text(json.dumps(manifest))
    train(run, *chosen, "training.images=96")
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["images"] for line in lines] == list(range(16, 97, 16))


def test_the_way_out_that_is_named_works(run, last, train, weights, trained):
    (last / "model.safetensors").unlink()
    with pytest.raises(UserError, match="remove that folder"):
        train(run)
    shutil.rmtree(last)
    train(run)
    assert weights(run) == weights(trained)
