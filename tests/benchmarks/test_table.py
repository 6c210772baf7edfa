import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from table import evaluation, filled, main, markdown
from tables import TABLES, Row, Table

ROOT = Path(__file__).parents[2]


def figure(value, interval=None, better="down"):
    return {"value": value, "interval": interval, "unit": "u", "better": better, "features": None}


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    values = {"quickstart.json": (0.49437, [0.447, 0.54915]), "quickstart_vae.json": (0.0113, None)}
    for name, (value, interval) in values.items():
        one = figure(value, interval, "one")
        (folder / name).write_text(json.dumps({"figures": {"sharpness_ratio_samples": one}}))
    return folder


TEXT = "# Title\n\n<!-- table: quickstart -->\nold\n<!-- /table -->\n\nrest\n"


def test_the_pages_of_this_repository_are_what_the_figures_say():
    names = []
    for page in (ROOT / "README.md", ROOT / "configs/README.md"):
        assert main(["--check", str(page)]) == 0
        names += re.findall(r"<!-- table: (\S+) -->", page.read_text(encoding="utf-8"))
    assert sorted(names) == sorted(TABLES), "every table has its place, and one alone"


def test_the_check_needs_nothing_installed():
    """Without site-packages, from another folder: as a fresh clone is checked."""
    command = [sys.executable, "-S", str(ROOT / "benchmarks/table.py"), "--check"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_table_is_written_between_its_comments_and_nowhere_else(results, tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(TEXT)
    call = [str(readme), "--results", str(results)]
    assert main(["--check", *call]) == 1
    assert "differ" in capsys.readouterr().err
    assert readme.read_text() == TEXT, "a check changes nothing"
    assert main(["--write", *call]) == 0
    made = readme.read_text()
    assert made.startswith("# Title\n\n<!-- table: quickstart -->\n| drawn paintings, 32 px |")
    assert made.endswith("|\n<!-- /table -->\n\nrest\n") and "old" not in made
    assert "| 0.49 (0.45 to 0.55) | 0.011 | 1 |" in made
    assert main(["--check", *call]) == 0
    assert main(["--write", *call]) == 0 and readme.read_text() == made


def test_a_page_that_is_not_there_is_one_sentence(results, tmp_path, capsys):
    for page in (tmp_path / "gone.md", tmp_path):
        assert main(["--check", str(page), "--results", str(results)]) == 2
        told = capsys.readouterr().err
        assert told.startswith(f"{page} cannot be read") and told.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"), [("{}", "lacks 'figures'"), ("{", "cut short"), ("3", "lacks 'figures'")]
)
def test_an_evaluation_without_figures_is_one_sentence(text, said, results, tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(TEXT)
    file = results / "quickstart.json"
    file.write_text(text)
    for word in ("--check", "--write"):
        assert main([word, str(readme), "--results", str(results)]) == 2
        told = capsys.readouterr().err
        assert str(file) in told and said in told and told.count("\n") == 1
    assert readme.read_text() == TEXT


def test_a_variant_that_was_not_measured_is_one_sentence(results, refused):
    (results / "tricks.json").write_text('{"variants": {"plain VAE": {"figures": {}}}}')
    with refused("tricks.json has no 'real' of 'tricks.json:plain VAE'"):
        evaluation(results, "tricks.json:plain VAE")


def test_a_changed_figure_is_noticed(results, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(TEXT)
    call = [str(readme), "--results", str(results)]
    main(["--write", *call])
    file = results / "quickstart.json"
    file.write_text(file.read_text().replace("0.49437", "0.61"))
    assert main(["--check", *call]) == 1


def test_without_its_figures_a_table_stays_with_a_word(results, tmp_path, capsys):
    (results / "quickstart.json").unlink()
    made, notes = filled(TEXT, results)
    assert made == TEXT
    word = "table quickstart stays as it is: there is no quickstart.json"
    assert notes == [word]
    readme = tmp_path / "README.md"
    readme.write_text(TEXT)
    call = [str(readme), "--results", str(results)]
    assert main(["--write", *call]) == 0 and word in capsys.readouterr().out
    assert readme.read_text() == TEXT


def test_a_check_without_the_figures_fails(results, tmp_path, capsys):
    """It passed, as if the table had been compared with something."""
    readme = tmp_path / "README.md"
    readme.write_text(TEXT)
    call = [str(readme), "--results", str(results)]
    assert main(["--write", *call]) == 0 == main(["--check", *call])
    (results / "quickstart_vae.json").unlink()
    assert main(["--check", *call]) == 1
    assert "README.md: table quickstart stays as it is: there is no" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<!-- table: quikstart -->\n<!-- /table -->\n", "'quikstart' is unknown"),
        ("<!-- table: quickstart -->\n| a |\n", "lacks its"),
        ("<!-- /table -->\n", "lacks its"),
        ("<!-- table: quickstart -->\n<!-- table: monet -->\n<!-- /table -->\n", "lacks its"),
    ],
)
def test_comments_that_do_not_fit_are_refused(text, words, results, tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(text)
    assert main(["--check", str(readme), "--results", str(results)]) == 1
    assert words in capsys.readouterr().err


def test_bold_is_what_is_better_beyond_the_intervals():
    rows = [Row("a", "a", ".1f", " dB", "0"), Row("b", "b", ".1f"), Row("none", "c", ".1f")]
    shown = Table("title", {"one": "", "two": ""}, rows)
    one = {"a": figure(1.04, [1, 2]), "b": figure(1.0, [0, 5])}
    two = {"a": figure(4, [3, 5]), "b": figure(2.0, [1, 3])}
    lines = markdown(shown, [{"figures": one}, {"figures": two}]).splitlines()
    assert lines == [
        "| title | one | two | real |",
        "|---|---|---|---|",
        "| a | **1.0 dB** (1.0 to 2.0) | 4.0 dB (3.0 to 5.0) | 0 |",
        "| b | 1.0 (0.0 to 5.0) | 2.0 (1.0 to 3.0) | |",
    ]


def test_sharpness_is_bold_only_where_a_distance_that_no_trick_wins_agrees():
    shown = Table("title", {"one": "", "two": ""}, [Row("a", "sharpness_ratio_samples", ".1f")])
    one, two = (figure(x, [x - 0.1, x + 0.1], "one") for x in (0.5, 1.0))

    def cells(*distances):
        reports = [
            {"figures": {"sharpness_ratio_samples": sharp, "swd_samples": figure(swd), **kid}}
            for sharp, (swd, kid) in zip((one, two), distances, strict=True)
        ]
        return markdown(shown, reports).splitlines()[-1]

    near, far = ({"gkid_fitted": figure(kid)} for kid in (0.02, 0.2))
    assert cells((30, far), (20, near)) == "| a | 0.5 (0.4 to 0.6) | **1.0** (0.9 to 1.1) | |"
    assert "**" not in cells((30, near), (20, far)), "sharpened or noisy pictures"
    assert "**" not in cells((20, far), (30, near)), "patches say otherwise"
    assert "**" not in cells((30, {}), (20, {})), "patches alone"


def test_floors_come_from_the_figures_and_absent_ones_are_not_told():
    fid = Row("FID", "gfid_fitted", ".0f", real="floor_fid")
    shown = Table("title", {"one": "", "two": ""}, [fid])
    both = {"gfid_fitted": figure(100.4), "floor_fid": figure(59.7)}
    text = markdown(shown, [{"figures": both}, {"figures": {}}])
    assert text.splitlines()[-1] == "| FID | 100 | - | 60 |"
    text = markdown(shown, [{"figures": {"gfid_fitted": figure(None)}}, {"figures": both}])
    assert text.splitlines()[-1] == "| FID | - | 100 | 60 |", "of whichever column has it"
    text = markdown(shown, 2 * [{"figures": {"gfid_fitted": figure(100.4)}}])
    assert text.splitlines()[-1] == "| FID | 100 | 100 | |"


def test_a_ratio_near_0_has_three_decimals_at_most():
    shown = Table("title", {"one": "", "two": ""}, [Row("a", "a", "#.2g")])
    one, two = {"a": figure(0.00578, [0.0052, 0.0069])}, {"a": figure(0.797, [0.64, 1.34])}
    text = markdown(shown, [{"figures": one}, {"figures": two}])
    assert text.splitlines()[-1] == "| a | **0.006** (0.005 to 0.007) | 0.80 (0.64 to 1.3) | |"


@pytest.mark.parametrize("name", TABLES)
def test_the_evaluations_of_a_table_have_its_figures_and_no_place_on_a_machine(name):
    shown = TABLES[name]
    places = shown.columns.values()
    reports = [evaluation(ROOT / "benchmarks/results", place) for place in places]
    for floor in {row.real for row in shown.rows if row.real.startswith("floor_")}:
        # Older evaluations lack some; those that have it were measured beside the same pictures.
        told = [report["figures"].get(floor) for report in reports]
        values = [figure["value"] for figure in told if figure is not None]
        assert values == pytest.approx(values[:1] * len(values), rel=1e-6, abs=1e-9)
    for place, report in zip(places, reports, strict=True):
        wanted = {row.figure for row in shown.rows}
        assert wanted <= set(report["figures"])
        whole = json.loads((ROOT / "benchmarks/results" / place.partition(":")[0]).read_text())
        models = whole.get("models", {"model": whole.get("model", "")}).values()
        assert not any(Path(model).is_absolute() for model in models)


def test_of_trainings_that_differ_by_chance_none_is_marked():
    table = TABLES["monet_32_seeds"]
    reports = [evaluation(ROOT / "benchmarks/results", place) for place in table.columns.values()]
    assert "**" not in markdown(table, reports)
    assert "**0.040**" in markdown(table._replace(judged=True), reports), "the luckiest"
