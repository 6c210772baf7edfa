import dataclasses
import json

import fairness
import pytest
import sharpness
import trials
from sharpness import ABLATIONS, BUDGETS, CONTESTANTS, DATA, DIETS, chosen, main, parse
from trials import quiet_speed

from hiresvae.cli_common import in_words
from hiresvae.configuration import load_settings

TINY = [
    "--size=16", "--images=64", "--samples=16", "--features=none", "--metrics=texture,paired",
    "--contestants=vae,cvaegan", "--set=data.limit=48", "--set=model.width=4",
    "--set=model.max_width=8", "--set=model.latent_dim=8", "--set=training.lr_warmup=16",
    "--set=adversary.width=4", "--set=adversary.max_width=8", "--set=adversary.penalty_every=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_threads):
    folder = tmp_path_factory.mktemp("bench")
    words = [*TINY, f"--runs={folder / 'runs'}", f"--out={folder / 'results'}"]
    main(words)
    return folder, words


@pytest.fixture(scope="module")
def tiny_threads():
    import torch

    torch.set_num_threads(1)


def results(folder):
    return folder / "results" / "embedded_paintings_16_minutes"


def summary(folder, name="summary"):
    return json.loads((results(folder) / f"{name}.json").read_text())


def test_all_train_at_equal_images_and_the_faster_at_equal_seconds(finished):
    folder, _ = finished
    found = summary(folder)
    runs = {one["title"]: one for one in found["runs"]}
    (plan,) = found["equal_seconds"].values()
    faster = ({"vae", "cvaegan"} - {plan["slowest"]}).pop()
    timed = f"{faster}, equal seconds"
    assert set(runs) == {"vae, equal images", "cvaegan, equal images", timed}
    assert runs["vae, equal images"]["images"] == runs["cvaegan, equal images"]["images"] == 64
    slow, quick = (
        quiet_speed(next(folder.glob(f"runs/*/{who}-equal_images-64-seed0")))
        for who in (plan["slowest"], faster)
    )
    assert plan["seconds"] == pytest.approx(64 / slow)
    assert plan["images_per_second"] == pytest.approx(quick) and quick > slow
    expected = plan["seconds"] * plan["images_per_second"]
    assert 0 <= expected - plan["images"] < 8 and runs[timed]["images"] == plan["images"]


def test_seconds_that_are_asked_for_are_those_of_all(finished):
    folder, words = finished
    kept = results(folder)
    others = folder / "asked"
    main([*words[:-1], f"--out={others}", "--seconds=0.5"])
    plans = json.loads((others / kept.name / "equal_seconds.json").read_text())
    assert {plan["seconds"] for plan in plans.values()} == {0.5} and len(plans) == 2
    runs = {
        one["title"]: one
        for one in json.loads((others / kept.name / "summary.json").read_text())["runs"]
    }
    for name, plan in plans.items():
        wanted = 0.5 * plan["images_per_second"]
        assert 0 <= wanted - plan["images"] < 8 or plan["images"] == 8, (
            "whole batches, one at least"
        )
        who = name.partition("-")[0]
        assert runs[f"{who}, equal seconds"]["images"] == plan["images"], "the slowest, too"


def test_figures_table_and_reports_are_written(finished):
    folder, _ = finished
    found = summary(folder)
    sharp = found["figures"]["sharpness_ratio_samples"]
    assert sharp["unit"] == "ratio" and len(sharp["values"]) == 3
    for values in sharp["values"].values():
        assert [one["seed"] for one in values] == [0] and values[0]["interval"]
    lines = (results(folder) / "summary.md").read_text().splitlines()
    assert len({line.count("|") for line in lines}) == 1 and len(lines) == 2 + 3
    assert "psnr_reconstructions (up)" in lines[0]
    for one in found["runs"]:
        assert (results(folder) / one["evaluation"]).is_file()
    for basis in ("images", "seconds"):
        told = json.loads((results(folder) / f"equal_{basis}" / "report.json").read_text())
        assert [one["name"].split("-")[0] for one in told["models"]] == ["vae", "cvaegan"]
        assert (results(folder) / f"equal_{basis}" / "report.html").stat().st_size > 10_000


def test_the_same_command_does_nothing_twice(finished, monkeypatch):
    folder, words = finished
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*")}
    monkeypatch.setattr(trials.Bench, "_train", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr("hiresvae.uses.compare.evaluate", lambda *_, **__: pytest.fail("again"))
    old = summary(folder)
    main(words)
    assert {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*")} == before
    assert summary(folder) == old


def test_a_broken_off_benchmark_goes_on_where_it_was(tmp_path, monkeypatch, finished):
    """The first training is stopped, the second evaluation is: what was done is not done again."""
    from hiresvae.training.signals import Stop

    words = [*TINY, f"--runs={tmp_path / 'runs'}", f"--out={tmp_path / 'results'}"]
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as caught:
        patch.setattr(Stop, "asked", lambda self, step: step >= 3)
        main(words)
    assert caught.value.code == 130
    (run,) = (path for path in (tmp_path / "runs").glob("*/*") if path.is_dir())
    assert [path.name for path in (run / "checkpoints").iterdir()] and "vae" in run.name

    from hiresvae.uses import compare

    calls, measure = [], compare.evaluate

    def counted(model, *arguments, **options):
        calls.append(model)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure(model, *arguments, **options)

    monkeypatch.setattr(compare, "evaluate", counted)
    with pytest.raises(SystemExit):
        main(words)
    log = (run / "train.log").read_text()
    assert "continuing from 32 images" in log
    main(words)
    assert len(calls) == 2 + 2 and calls[1] == calls[2] != calls[0]
    # The stop left no trace: the same training as the one that was not broken off.
    folder, _ = finished
    for name in ("vae-equal_images-64-seed0.json", "cvaegan-equal_images-64-seed0.json"):
        one, other = (json.loads((results(x) / name).read_text()) for x in (tmp_path, folder))
        assert one["figures"] == other["figures"]


@pytest.fixture
def varied(tmp_path, tiny_threads):
    def run(family):
        words = [word for word in TINY if "contestants" not in word]
        folders = [f"--runs={tmp_path / 'runs'}", f"--out={tmp_path / 'results'}"]
        main([*words, *folders, f"--{family}"])
        (file,) = (tmp_path / "results").glob(f"*/{family.replace('ablate', 'ablation')}.json")
        return json.loads(file.read_text())

    return run


def assert_each_changes_something(found, titles):
    assert {one["title"] for one in found["runs"]} == set(titles)
    assert {one["images"] for one in found["runs"]} == {64}
    sharp = found["figures"]["sharpness_ratio_samples"]["values"]
    assert len({values[0]["value"] for values in sharp.values()}) == len(titles)


def test_ablation_leaves_out_one_component_at_a_time(varied):
    found = varied("ablate")
    assert found["absent_already"] == ["without augmentation"], "the shortest budget has none"
    assert_each_changes_something(found, set(ABLATIONS) - {"without augmentation"})
    assert found["runs"][0]["title"] == "everything"


def test_diets_compare_what_the_critic_is_shown(varied):
    found = varied("diets")
    assert_each_changes_something(found, DIETS)
    fakes = {tuple(one["changes"][-1:]) for one in found["runs"]}
    assert len(fakes) == len(DIETS) and not found["absent_already"]


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("data", DATA)
def test_contestants_differ_only_in_what_is_compared(budget, data):
    jobs = chosen(parse([f"--budget={budget}", f"--data={data}", "--size=32"]))
    assert {"vae", "cvaegan"} <= set(jobs) <= set(CONTESTANTS)
    settings = {who: job.settings() for who, job in jobs.items()}
    plain = settings["vae"]
    assert plain.adversary is None and settings["cvaegan"].adversary is not None
    for other in settings.values():
        for section in (
            "seed", "data", "prior", "introspective", "terms", "code", "corruption", "training",
            "metrics",
        ):  # fmt: skip
            assert getattr(other, section) == getattr(plain, section)
        shared = {
            "backbone", "width", "max_width", "latent_dim", "blocks", "attention", "likelihood",
            "conditional", "stochastic", "top_rungs", "kl_warmup", "free_nats",
        }  # fmt: skip
        assert other.model.model_dump(include=shared) == plain.model.model_dump(include=shared)
    assert plain.data.source == data and plain.data.size == 32
    # What suits the data is not undone by the budget.
    job = jobs["cvaegan"]
    again = dataclasses.replace(job, changes=(*job.changes, *DATA[data]))
    assert again.settings() == job.settings()


@pytest.mark.parametrize(("config", "data"), [("monet_laptop", "monet"), ("faces_laptop", "lfw")])
def test_the_configurations_for_a_laptop_are_what_the_benchmark_trains(config, data):
    settings = load_settings(sharpness.ROOT / "configs" / f"{config}.yaml")
    images = f"--images={settings.training.images}"
    words = [f"--data={data}", "--size=64", images, "--set=data.limit=null"]
    trained = chosen(parse(words))["cvaegan"].settings()
    lengths = {"tick", "snapshot", "checkpoint"}
    assert settings.model_dump(exclude={"name", "training"}) == trained.model_dump(
        exclude={"name", "training"}
    )
    assert settings.training.model_dump(exclude=lengths) == trained.training.model_dump(
        exclude=lengths
    )


def test_unfair_contestants_are_refused(tmp_path, refused):
    (tmp_path / "monet_vae.yaml").write_text("")
    unfair = tmp_path / "monet_cvaegan.yaml"
    unfair.write_text("adversary: {}\n")
    assert len(chosen(parse([f"--configs={tmp_path}"]))) == 2
    for text, said in (
        ("prior: {components: 3}", "'prior'"),
        ("terms: {laplacian: 1.0}", "'terms'"),
        ("code: {l1: 1.0}", "'code'"),
        ("corruption: {sigma: 0.1}", "'corruption'"),
        ("model: {latent_dim: 7}", "'model.latent_dim'"),
        ("model: {blocks: 2}", "'model.blocks'"),
    ):
        unfair.write_text(f"adversary: {{}}\n{text}\n")
        with refused("monet_vae.yaml", "monet_cvaegan.yaml", said):
            chosen(parse([f"--configs={tmp_path}"]))
    unfair.write_text("introspective: {weight: 1.0}\n")
    with refused("monet_vae.yaml", "monet_cvaegan.yaml", "'introspective'"):
        chosen(parse([f"--configs={tmp_path}"]))


def test_what_the_contest_is_about_is_what_the_configurations_differ_in():
    models = [
        load_settings(sharpness.ROOT / "configs" / file).model.model_dump()
        for file in CONTESTANTS.values()
    ]
    differing = {key for key in models[0] if any(one[key] != models[0][key] for one in models)}
    assert differing == fairness.COMPARED


def test_a_side_that_ladders_do_not_have_names_who_fits(refused, capsys):
    small = ["--data=fashion_mnist", "--size=28"]
    with refused("ladder does not fit, vae, cvaegan would", "32 for all four"):
        chosen(parse(small))
    assert set(chosen(parse([*small, "--contestants=cvaegan,vae"]))) == {"cvaegan", "vae"}
    with pytest.raises(SystemExit):
        parse(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert told.count(fairness.SIDES) == 2


def test_mistakes_are_one_sentence(capsys):
    for words, said in (
        (["--contestants=vae,cvagan"], "did you mean 'cvaegan'?"),
        (["--contestants=vae"], "one alone"),
        (["--set=model.widht=3"], "model.width"),
    ):
        with pytest.raises(SystemExit) as caught:
            main([*words, "--dry-run"])
        assert caught.value.code == 2
        assert said in capsys.readouterr().err
    for words, said in (
        (["--seeds=a"], "whole numbers"),
        (["--seconds=0"], "more than 0"),
        (["--seconds=9", "--ablate"], "at equal images"),
    ):
        with pytest.raises(SystemExit), in_words():
            parse(words)
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("--samples=3", "take 8 or more"),
        ("--samples=0", "take 8 or more"),
        ("--metrics=foo", "'foo' is no group"),
        ("--features=/no/network.pt", "nor a TorchScript file"),
        (f"--features={__file__}", "cannot be read as TorchScript"),
        ("--images=0", "--images 0: 1 or more"),
        ("--seeds=0,0", "each once"),
        ("--seeds=0,-1", "0 or more"),
    ],
)
@pytest.mark.parametrize("dry", [["--dry-run"], []])
def test_what_cannot_be_measured_is_refused_before_anything_is_trained(
    word, said, dry, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(trials.Bench, "do", lambda *_: pytest.fail("began"))
    folders = [f"--runs={tmp_path / 'runs'}", f"--out={tmp_path / 'results'}"]
    with pytest.raises(SystemExit) as caught:
        main([*TINY, *folders, "--metrics=all", word, *dry])
    told = capsys.readouterr().err
    assert caught.value.code == 2 and said in told and "Traceback" not in told
    assert not list(tmp_path.iterdir())


def test_features_that_no_figure_needs_are_not_read(capsys):
    main([*TINY, "--features=/no/network.pt", "--dry-run"])
    assert "seeds [0]" in capsys.readouterr().out


@pytest.mark.parametrize("family", ["ablate", "diets"])
def test_variants_are_of_one_contestant_and_all_of_them_fit(family, refused, monkeypatch):
    words = [f"--{family}", "--contestants=vae,cvaegan"]
    with refused("'vae,cvaegan'", "take one"):
        chosen(parse(words))
    table = {"everything": [], "without": ["model.widht=3"]}
    monkeypatch.setitem(sharpness.FAMILIES, {"ablate": "ablation"}.get(family, family), table)
    with refused("model.width"):
        chosen(parse([f"--{family}"]))


def test_a_dry_run_tells_and_trains_nothing(tmp_path, capsys):
    main(["--dry-run", "--budget=hour", "--data=monet", "--seeds=0,3", f"--runs={tmp_path}"])
    said = capsys.readouterr().out
    assert "vae: 100,000 images, monet_vae.yaml data.source=monet" in said
    assert "seeds [0, 3]" in said and not list(tmp_path.iterdir())


def test_plans_cut_short_are_one_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(trials.Bench, "do", lambda *_: pytest.fail("began"))
    file = results(tmp_path) / "equal_seconds.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"vae-equal_images-64-seed0": {"images": 6')
    with pytest.raises(SystemExit) as caught:
        main([*TINY, f"--runs={tmp_path / 'runs'}", f"--out={tmp_path / 'results'}"])
    told = capsys.readouterr().err
    assert caught.value.code == 2 and "Traceback" not in told
    assert str(file) in told and "delete it" in told


@pytest.mark.parametrize("option", ["runs", "out"])
def test_a_file_where_a_folder_is_needed_is_one_sentence(option, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(SystemExit) as caught:
        main([*TINY, f"--{option}={file}", "--dry-run"])
    told = capsys.readouterr().err
    assert caught.value.code == 2 and "Traceback" not in told
    assert f"{file} is a file where a folder is needed" in told


def test_plans_stay_unless_another_is_slowest(tmp_path):
    file = tmp_path / "plan.json"
    job = chosen(parse(["--contestants=vae,cvaegan"]))["vae"]
    first = sharpness.Plans(file).images(job, "cvaegan", 100.0, 10.05)
    assert first == 1000, "whole batches of 8"
    assert sharpness.Plans(file).images(job, "cvaegan", 50.0, 10.0) == first
    assert sharpness.Plans(file).images(job, "hybrid", 100.0, 20.0) == 2000
    assert sharpness.Plans(file).images(job, None, 100.0, 20.0) == 2000, "of the same length"
    assert sharpness.Plans(file).images(job, None, 100.0, 30.0) == 3000, "asked for"
    assert sharpness.Plans(file).images(job, None, 50.0, 30.0) == 3000
