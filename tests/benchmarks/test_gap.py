import json

import pytest

from benchmarks import gap


@pytest.fixture
def report(trained, network, tmp_path, capsys):
    out = tmp_path / "gap.json"
    gap.main([str(trained), "--samples", "40", "--features", network, "--out", str(out)])
    return json.loads(out.read_text())["variants"], capsys.readouterr().out


def test_reconstructions_and_every_way_of_drawing_are_measured(report):
    told, printed = report
    assert list(told) == [gap.REMADE, *gap.DRAWS, gap.REAL]
    for way, row in told.items():
        figures = row["figures"]
        kernel, frechet = ("rkernel", "rfrechet") if way == gap.REMADE else ("gkernel", "gfrechet")
        assert {kernel, frechet, "precision", "recall"} <= set(figures)
        assert ("sharpness_ratio" in figures) == (way != gap.REAL)
        assert figures[kernel]["better"] == "down" and figures[frechet]["value"] >= 0
        line = next(line for line in printed.splitlines() if line.startswith(f"| {way} |"))
        assert f"| {figures[kernel]['value']:.3g} |" in line
    # No figure is called by its distance alone: the name says what was compared.
    names = [told[way]["figures"]["gkernel"]["name"] for way in ("truncation 0.7", gap.REAL)]
    assert names == ["gkernel_truncation_0.7", "floor_kernel"]


def test_nearer_the_middle_pictures_differ_less(trained):
    from hiresvae import load

    model = load(trained, device="cpu")
    real = model.data().middles(model.data().train, model.model.size)
    made = gap.pictures_of(model, real, 16, 0)
    assert len(made[gap.REMADE]) == 16
    whole, near = (made[way].float().var(0).mean() for way in (gap.FITTED, "truncation 0.7"))
    assert near < whole


def test_too_few_samples_are_refused(trained, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        gap.main([str(trained), "--samples", "2", "--out", str(tmp_path / "gap.json")])
    assert stop.value.code == 2 and "--samples 2 is too few" in capsys.readouterr().err
