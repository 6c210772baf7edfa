from hiresvae.commands import evaluate as command
from hiresvae.metrics.results import Figure
from hiresvae.uses import evaluate as uses


def test_prints_every_figure_with_its_unit_and_where_it_wrote(
    tmp_path, monkeypatch, capsys
) -> None:
    figures = [
        Figure("gkid_fitted", 0.01234, "squared MMD", "down", (0.01, 0.02), {"samples": 40}),
        Figure("psnr_reconstructions", float("nan"), "dB", "up", counts={"held_out": 7}),
    ]
    report = {
        "model": "some/[model]",
        "figures": {figure.name: figure.to_json() for figure in figures},
        "notes": ["features=none: left out"],
    }
    given = {}

    def measure(model, out, **options):
        given.update(options, model=model, out=out)
        return report

    monkeypatch.setattr(uses, "evaluate", measure)
    monkeypatch.setenv("COLUMNS", "140")
    out = tmp_path / "f.json"
    assert command.evaluate("some/[model]", out, samples=40, seed=3, iwae=5) is report
    assert given["samples"] == 40 and given["seed"] == 3 and given["features"] is None
    assert given["iwae"] == 5 and given["metrics"] == "all"
    printed = capsys.readouterr().out
    for part in (
        "some/[model]",
        "gkid_fitted",
        "0.01234",
        "0.01 to 0.02",
        "squared MMD",
    ):
        assert part in printed
    assert "left out" in printed and "f.json" in printed
