"""What a model says of itself."""

import json

import pytest
import torch

from hiresvae.training.card import cost, plain, score

CPU = torch.device("cpu")


def ticks(*images, speed=10.0):
    return [{"images": n, "time": 1000.0 + n / speed, "images_per_second": speed} for n in images]


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_cost_is_that_of_the_model_not_of_what_came_after(one_thread):
    lines = ticks(5000, 10_000, 20_000)
    assert cost(lines, 20_000, CPU) == (
        "cost: 2,000 seconds of training, 10.0 images/s, on a CPU (1 thread)"
    )
    assert "1,000 seconds" in cost(lines, 10_500, CPU)


def test_cost_that_nobody_told_is_left_out():
    assert cost([], 100, CPU) == ""
    assert cost(ticks(200), 100, CPU) == ""
    assert cost([{"images": 50}], 100, CPU) == "", "of another version"


def line(images, value, best):
    return {
        "images": images, "kernel_distance_held_out": value, "features": "textures", "best": best,
    }  # fmt: skip


def test_score_is_the_models_own_beside_the_best():
    lines = [line(100, 3.0, True), line(200, 1.25, True), line(300, 2.0, False)]
    assert score(lines, 200).startswith("score: 1.25 (kernel distance")
    assert score(lines, 300).startswith("score: 2; 1.25 of the best, at 200 images (")
    assert "by textures" in score(lines, 300)
    assert score(lines, 250).startswith("score: 1.25 of the best, at 200 images (")


def test_a_score_that_is_no_number_is_left_out():
    assert score([], 100) == ""
    assert score([line(100, None, False)], 100) == ""


def test_the_card_of_a_run_tells_what_it_took_and_how_good_it_is(trained):
    scores = [json.loads(x) for x in (trained / "scores.jsonl").read_text().splitlines()]
    last, best = scores[-1], [one for one in scores if one["best"]][-1]
    for folder, own in (("model", last), ("model_best", best)):
        said = (trained / folder / "README.md").read_text()
        assert f"score: {own['kernel_distance_held_out']:.4g}" in said
        assert " seconds of training, " in said and " images/s, on " in said
        assert "\n- seed: 0\n- cost: " in said and "\n\n```\nhiresvae sample" in said


def test_names_as_people_give_them_stay_as_they_are():
    assert plain("embedded:paintings") == "embedded:paintings"
    assert plain("Claude Monet, 1840-1926 (France)!") == "Claude Monet, 1840-1926 (France)!"
    assert plain("by_me\n<b>") == r"by\_me &lt;b&gt;"
