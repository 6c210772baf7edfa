import json
import sys

import pytest
import scaling


@pytest.mark.parametrize("kind", ["ladder", "ladder, checkpointed", "dense latent"])
def test_the_table_of_cost_by_side(kind):
    row = scaling.measure(kind, scaling.KINDS[kind], 32, 8, 4.0, 0.0)
    assert row["parameters"] > 10_000
    assert row["memory_gib"] > 5 * 4 * row["parameters"] / 2**30, "weights and moments at least"
    assert row["seconds_a_picture"] is None and row["bytes_a_picture"] > 0
    assert row.keys() == {
        "model", "side", "parameters", "memory_gib", "seconds_a_picture", "bytes_a_picture",
    }  # fmt: skip


def test_what_does_not_fit_is_told_by_its_parameters_alone():
    dense = [
        scaling.measure("dense latent", scaling.KINDS["dense latent"], side, 8, 1e-6, 0.0)
        for side in (256, 512, 1024)
    ]
    assert all(row["memory_gib"] is None for row in dense)
    counts = [row["parameters"] for row in dense]
    assert counts[1] / counts[0] == pytest.approx(4, rel=0.1)
    assert counts[2] / counts[1] == pytest.approx(4, rel=0.05)


def test_sides_take_turns_and_what_does_not_fit_has_no_seconds(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scaling, "KINDS", {"ladder": scaling.KINDS["ladder"], "dense": {}})
    out = tmp_path / "new" / "scaling.json"
    words = ["--sizes", "32", "64", "--batch", "8", "--rounds", "3", "--out", str(out)]
    given, real = {}, scaling.in_turn

    def in_turn(calls, rounds, device):
        given[len(given)] = {side: call.func._count for side, call in calls.items()}
        assert rounds == 3
        return real(calls, rounds, device)

    monkeypatch.setattr(scaling, "in_turn", in_turn)
    monkeypatch.setattr(sys, "argv", ["scaling.py", *words])
    scaling.main()
    rows = json.loads(out.read_text())["rows"]
    assert [row["side"] for row in rows] == [32, 64, 32, 64]
    assert all(row["seconds_a_picture"] > 0 for row in rows)
    assert given[0] == {"32": 16, "64": 16}
    a_pixel = [row["seconds_a_picture"] / row["side"] ** 2 for row in rows]
    said = capsys.readouterr().out.splitlines()
    assert said[2].split()[-1] == "1.00" and said[3].split()[-1] == f"{a_pixel[1] / a_pixel[0]:.2f}"

    monkeypatch.setattr(sys, "argv", ["scaling.py", *words, "--memory", "1e-6"])
    scaling.main()
    rows = json.loads(out.read_text())["rows"]
    assert all(row["seconds_a_picture"] is None for row in rows)
    assert capsys.readouterr().out.splitlines()[2].split()[-3:] == ["-", "-", "-"]
