import json
import shutil

import numpy as np
import pytest
import torch

from hiresvae.generator import load
from hiresvae.uses import compare as uses
from hiresvae.uses.compare import (
    compare,
    distinct,
    evaluation,
    fingerprint,
    nearest,
)


def test_all_are_shown_the_same_pictures_and_the_same_noise(compared, trained):
    model = load(trained)
    data = model.data()
    shown = data.middles(data.held_out[:8], 16)
    assert torch.equal(compared.originals, shown) and compared.role == "held-out"
    first = compared.contestants[0]
    assert torch.equal(first.reconstructions, model.reconstruct(shown))
    for prior in ("fitted", "standard"):
        assert torch.equal(first.samples[prior], model.sample(16, seed=0, prior=prior))
    assert compared.same_noise() == [[one.name for one in compared.contestants]]


def test_neighbours_are_training_pictures_and_the_nearest_ones(compared, trained):
    data = load(trained).data()
    train = data.middles(data.train, 16).float().flatten(1)
    for one in compared.contestants:
        made = one.samples["fitted"][:6].float().flatten(1)
        all_distances = torch.cdist(made, train) / np.sqrt(train.shape[1])
        closest, index = all_distances.min(1)
        np.testing.assert_allclose(one.neighbours.distance, closest.numpy(), rtol=1e-3)
        assert torch.equal(one.neighbours.pictures.float().flatten(1), train[index])


def test_a_copy_is_found_where_it_is(trained):
    data = load(trained).data()
    queries = data.middles(data.train[[3, 40]], 16)
    found = nearest(queries, data, 16)
    assert torch.equal(found.pictures, queries)
    np.testing.assert_allclose(found.distance, 0, atol=0.5)


def test_figures_spectra_and_curves_are_of_each(compared):
    for values in compared.figures().values():
        assert len(values) == 2
    assert "psnr_reconstructions" in compared.figures()
    assert len(compared.frequency) == len(compared.real_spectrum) == 8
    for one in compared.contestants:
        assert set(one.spectra) == {"samples", "reconstructions"}
        assert all(np.isfinite(power).all() and len(power) == 8 for power in one.spectra.values())
        assert one.training.seconds > 0 and one.parameters > 1000
    assert [one.images_seen for one in compared.contestants] == [128, 64]


def test_a_figure_that_only_one_has_stands_there_without_the_other(compared):
    figures = compared.contestants[0].evaluation["figures"]
    figures["only_here"] = {**figures["psnr_reconstructions"], "name": "only_here"}
    try:
        assert compared.figures()["only_here"][1] is None
        assert all("only_here" not in won for won in compared.wins().values())
    finally:
        del figures["only_here"]


def test_noise_wins_no_sharpness(compared, monkeypatch):
    """A contestant whose sharpness is that of real pictures, but whose patches are farther off."""
    name = "sharpness_ratio_samples"
    ranges = {name: [(0.99, 1.01), (0.4, 0.5)]}
    ranges |= {one: [(1, 1), (2, 2)] for one in ("swd_samples", "gkernel_fitted")}
    for what, both in ranges.items():
        for one, (low, high) in zip(compared.contestants, both, strict=True):
            old = one.evaluation["figures"][what]
            interval = [low, high] if what == name else None
            new = {**old, "value": (low + high) / 2, "interval": interval}
            monkeypatch.setitem(one.evaluation["figures"], what, new)
    first, second = (one.name for one in compared.contestants)
    assert compared.winner(name) == 0 and name in compared.wins()[first]
    far = compared.contestants[0].evaluation["figures"]["swd_samples"]
    monkeypatch.setitem(far, "value", 3.0)
    assert compared.winner(name) is None
    assert name not in compared.wins()[first] + compared.wins()[second]


def test_differences_are_the_keys_that_were_set_otherwise(compared):
    rows = dict(compared.differences())
    assert rows["adversary"] == ["present", None]
    assert rows["adversary.width"] == [4, "-"]
    assert rows["training.images"] == [128, 64]
    assert "adversary.loss" not in rows, "defaults of a section that one lacks are not told"
    assert "name" not in rows and "data.size" not in rows


def test_what_is_measured_is_kept_until_the_question_or_the_weights_change(
    trained, tmp_path, monkeypatch
):
    calls = []

    def fake(model, file, *, device, **asked):
        calls.append(asked)
        return {"figures": {}}

    monkeypatch.setattr(uses, "evaluate", fake)
    painter, file = load(trained), tmp_path / "kept.json"
    asked = {"samples": 8, "features": "none", "metrics": "all", "seed": 0}

    def measure(**changed):
        return evaluation(painter, "m", file, {**asked, **changed}, "data")

    assert measure() == measure() == json.loads(file.read_text())
    assert len(calls) == 1
    measure(samples=9)
    assert len(calls) == 2
    measure(samples=9)
    painter.model.last_layer.add_(1e-3)
    measure(samples=9)
    assert len(calls) == 3
    evaluation(painter, "m", file, {**asked, "samples": 9}, "other data")
    assert len(calls) == 4
    evaluation(painter, "m", file, {**asked, "samples": 9}, "other data", fresh=True)
    for damage in ("{half a fi", "[1]", "null", json.dumps({"asked": asked})):
        before = len(calls)
        file.write_text(damage)
        evaluation(painter, "m", file, {**asked, "samples": 9}, "other data")
        assert len(calls) == before + 1
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({"asked": kept["asked"]}))
    evaluation(painter, "m", file, {**asked, "samples": 9}, "other data")
    assert json.loads(file.read_text()) == kept, "what has no figures is made anew"


def test_other_networks_are_another_question(trained, tmp_path, monkeypatch):
    """Weights that were missing and are put where they belong, a file that is replaced."""
    from hiresvae.metrics.features import INCEPTION
    from hiresvae.metrics.perceptual import BACKBONES, MEASURED

    calls = []

    def fake(model, file, *, device, **asked):
        calls.append(asked)
        if asked["features"] == "auto":
            (place / INCEPTION).write_bytes(b"downloaded")
        return {"figures": {}}

    monkeypatch.setattr(uses, "evaluate", fake)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HIRESVAE_WEIGHTS", str(tmp_path / "weights"))
    place, own = tmp_path / "weights", tmp_path / "own.pt"
    place.mkdir()
    own.write_bytes(b"first")
    painter, file = load(trained), tmp_path / "kept.json"

    def measured(features, metrics="all", **options):
        before, asked = len(calls), {"samples": 8, "seed": 0}
        asked |= {"features": str(features), "metrics": metrics}
        for _ in range(2):  # the second time it is always kept
            evaluation(painter, "m", file, asked, "data", **options)
        return len(calls) - before

    assert measured(own) == 1
    own.write_bytes(b"second")
    assert measured(own) == 1
    (place / BACKBONES[MEASURED][0]).write_bytes(b"lpips")
    assert measured(own, "distance") == 1 and measured(own) == 1
    # What an evaluation downloads is what it measured by.
    assert measured("auto") == 1
    (place / INCEPTION).write_bytes(b"another")
    assert measured("auto", "texture") == 1 and measured("auto") == 1
    # Older versions did not say.
    kept = json.loads(file.read_text())
    del kept["asked"]["networks"]
    file.write_text(json.dumps(kept))
    assert measured("auto", older=True) == 0 and measured("auto") == 1


def test_the_fingerprint_is_of_the_weights_and_of_nothing_else(trained):
    assert fingerprint(load(trained)) == fingerprint(load(trained / "model"))
    other = load(trained)
    other.prior.means[0, 0] += 1e-3
    assert fingerprint(other) != fingerprint(load(trained))


def test_models_of_other_pictures_are_refused(trained, train, tmp_path, refused):
    kept = [tmp_path / "a.json", tmp_path / "b.json"]
    with refused("2 models or more"):
        compare([str(trained)], kept[:1])
    asked = {"samples": 8, "features": "none", "metrics": "paired"}
    larger = train(tmp_path / "larger", "data.size=32", "training.images=8", "adversary=null")
    with refused("16 px", "32 px"):
        compare([str(trained), str(larger)], kept, **asked)
    fewer = train(tmp_path / "fewer", "data.limit=24", "training.images=8", "adversary=null")
    with refused("different pictures", "embedded:paintings"):
        compare([str(trained), str(fewer)], kept, **asked)


def test_a_labelled_model_may_stand_beside_one_without(trained, labelled, tmp_path):
    kept = [tmp_path / "a.json", tmp_path / "b.json"]
    asked = {"samples": 8, "features": "none", "metrics": "paired"}
    shutil.copytree(labelled / "model", tmp_path / "alone")
    found = compare([str(trained), str(tmp_path / "alone")], kept, **asked)
    assert found.contestants[1].training is None, "a model folder has no curves"
    assert ("data.labels", ["none", "set"]) in found.differences()


def test_black_and_white_beside_grey_is_refused(train, tmp_path, refused):
    """One bit a pixel beside eight: the one would always have won."""
    small = ("data.channels=1", "training.images=8", "adversary=null")
    grey = train(tmp_path / "grey", *small)
    coins = train(tmp_path / "coins", *small, "data.binarize=true", "model.likelihood=bernoulli")
    with refused("data.binarize is False of", "True of"):
        compare([str(grey), str(coins)], [tmp_path / "a.json", tmp_path / "b.json"])


def test_a_denoiser_is_shown_what_it_was_measured_by_and_wins_no_reconstruction(
    trained, train, tmp_path
):
    noisy = train(tmp_path / "noisy", "corruption.sigma=0.9", "training.images=8", "adversary=null")
    kept = [tmp_path / "a.json", tmp_path / "b.json"]
    asked = {"samples": 8, "features": "none", "metrics": "paired"}
    found = compare([str(trained), str(noisy)], kept, **asked)
    plain, denoiser = found.contestants
    model = load(noisy)
    shown = model.data().middles(model.data().held_out[:8], 16)
    assert not torch.equal(denoiser.reconstructions, model.reconstruct(shown))
    assert torch.equal(plain.reconstructions, load(trained).reconstruct(shown))
    assert found.inputs() == {
        "the pictures themselves": [plain.name],
        "the pictures with noise on them (gaussian, sigma 0.9)": [denoiser.name],
    }
    figures = [one.evaluation["figures"]["psnr_reconstructions"] for one in found.contestants]
    for figure, interval in zip(figures, ([10.0, 11.0], [20.0, 21.0]), strict=True):
        figure["interval"] = interval
    assert found.winner("psnr_reconstructions") is None
    assert not any("reconstructions" in name for names in found.wins().values() for name in names)


@pytest.mark.parametrize(
    ("models", "names"),
    [
        (["runs/a", "runs/b"], ["a", "b"]),
        (["runs/1/a", "runs/2/a"], ["runs/1/a", "runs/2/a"]),
        (["a", "a", "b"], ["a", "a (2)", "b"]),
        (["hf:org/name", "runs/a/"], ["name", "a"]),
    ],
)
def test_names_are_short_and_different(models, names):
    assert distinct(models) == names
