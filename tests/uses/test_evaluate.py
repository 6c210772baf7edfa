import logging

import pytest

from hiresvae.errors import UserError
from hiresvae.metrics import features
from hiresvae.settings import DataSettings, Settings
from hiresvae.uses import evaluate as uses
from hiresvae.uses.evaluate import evaluate

SIDE = 16
pytestmark = pytest.mark.usefixtures("stub")


def test_same_seed_same_figures_other_seed_other_samples(tmp_path, network) -> None:
    first, again, other = (
        evaluate("m", tmp_path / "f.json", samples=20, features=network, seed=s, device="cpu")
        for s in (0, 0, 5)
    )
    assert first["seconds_by_part"].keys() == again["seconds_by_part"].keys()
    assert first["figures"] == again["figures"]
    assert first["figures"]["rfrechet"]["value"] == other["figures"]["rfrechet"]["value"]
    assert (
        first["figures"]["gfrechet_fitted"]["value"] != other["figures"]["gfrechet_fitted"]["value"]
    )


def test_a_loaded_model_is_measured_as_by_its_name(tmp_path, stub) -> None:
    args = {"samples": 20, "metrics": "texture", "device": "cpu"}
    loaded, named = (evaluate(m, tmp_path / "f.json", **args) for m in (stub, "m"))
    assert loaded["figures"] == named["figures"] != {}
    assert (loaded["model"], named["model"]) == (stub.settings.name, "m")


def test_without_weights_the_rest_runs_and_one_line_says_so(tmp_path) -> None:
    report = evaluate("some/model", tmp_path / "f.json", samples=20, device="cpu")
    assert report["features"] is None
    named = [note for note in report["notes"] if "LPIPS" not in note]
    assert len(named) == 1 and features.INCEPTION in named[0]
    assert {"swd_samples", "ssim_reconstructions", "nearest_pixels_samples"} <= set(
        report["figures"]
    )
    assert "sharpness_ratio_samples" in report["figures"]
    assert not [name for name in report["figures"] if "fid" in name]


def test_where_nothing_asked_for_can_be_measured_there_is_no_report(
    tmp_path, folders, scenes
) -> None:
    reals, out = folders("reals", scenes(9, 4)), tmp_path / "f.json"
    args = {"samples": 20, "device": "cpu"}
    with pytest.raises(UserError, match=f"nothing of --metrics distance .*{features.INCEPTION}"):
        evaluate("m", out, metrics="distance", **args)
    for model, reference in (("m", None), (str(reals), reals)):
        with pytest.raises(UserError, match=r"nothing of --metrics distance,coverage .*features=n"):
            evaluate(
                model, out, metrics="coverage,distance", features="none", reference=reference,
                **args,
            )  # fmt: skip
    with pytest.raises(UserError, match=r"nothing of --metrics memory .*need not be those trained"):
        evaluate("m", out, metrics="memory", features="none", reference=reals, **args)
    assert not out.exists()
    # Variety is of pixels, too.
    evaluate("m", out, metrics="diversity,distance", features="none", **args)
    assert out.exists()


def test_mistakes_are_sentences(tmp_path) -> None:
    out = tmp_path / "f.json"
    (tmp_path / "fakes").mkdir()
    with pytest.raises(UserError, match="--reference"):
        evaluate(str(tmp_path / "fakes"), out)
    with pytest.raises(UserError, match="neither a model nor a picture"):
        evaluate(str(tmp_path / "fakes"), out, reference=tmp_path, features="none")
    with pytest.raises(UserError, match="samples=3"):
        evaluate("m", out, samples=3)
    with pytest.raises(UserError, match="iwae=-1"):
        evaluate("m", out, iwae=-1)
    with pytest.raises(UserError, match="gpu"):
        evaluate("m", out, device="gpu")
    with pytest.raises(UserError, match="TorchScript"):
        evaluate("m", out, features="nowhere.pt")
    assert not out.exists()
    (tmp_path / "file").write_text("")
    for place, words in (
        (tmp_path / "fakes", "is a folder: name a file"),
        (tmp_path / "file" / "f.json", "a file stands where a folder is needed"),
    ):
        with pytest.raises(UserError, match=words):
            evaluate("m", place)


def test_a_reference_that_is_not_there_is_told_before_any_download(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(uses, "feature_network", lambda *_: pytest.fail("was looked for"))
    for model in ("m", str(tmp_path)):
        with pytest.raises(UserError, match=r"^--reference '.*nowhere' is no folder"):
            evaluate(model, tmp_path / "f.json", reference=tmp_path / "nowhere", device="cpu")


def test_where_nothing_can_be_written_nothing_is_measured(tmp_path, monkeypatch) -> None:
    def begun(*_):
        raise AssertionError("it was measured first")

    monkeypatch.setattr(uses, "measure_model", begun)
    with pytest.raises(UserError):
        evaluate("m", tmp_path, samples=10, features="none")
    assert not list(tmp_path.glob("*.probe"))


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path, network, monkeypatch, caplog):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING, "hiresvae"):
        report = evaluate(
            "m", tmp_path / "f.json", samples=10, features=network, metrics="distance",
            device="cpu",
        )  # fmt: skip
    assert "gfrechet_fitted" in report["figures"]
    assert "cannot be written" in caplog.text


def test_the_settings_say_what_is_not_told(tmp_path, stub, network, monkeypatch) -> None:
    chosen = Settings(
        data=DataSettings(size=SIDE),
        metrics={"samples": 9, "features": network},  # type: ignore[arg-type]
    )
    monkeypatch.setattr(stub, "settings", chosen)
    args = {"metrics": "coverage,diversity", "device": "cpu"}
    report = evaluate("m", tmp_path / "f.json", **args)
    assert report["counts"]["samples"] == 9 and report["features"]["name"] == "patches.pt"
    told = evaluate("m", tmp_path / "f.json", samples=11, features="none", **args)
    assert told["features"] is None and "coverage_fitted" not in told["figures"]
    monkeypatch.setattr(stub, "settings", Settings(metrics={"samples": 4}))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="samples=4 is too few"):
        evaluate("m", tmp_path / "f.json", **args)
