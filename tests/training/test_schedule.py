import json

from hiresvae.training.schedule import Schedule


def test_without_a_change_of_length_it_is_the_share_itself():
    schedule = Schedule(96)
    assert [schedule.reached(images) for images in (0, 8, 40)] == [0, 8 / 96, 40 / 96]
    assert schedule.share(48) == 0.5


def test_a_longer_training_keeps_what_was_reached():
    short, long = Schedule(100), Schedule(1000)
    short.reached(90)
    long.load_state_dict(short.state_dict())
    assert [long.reached(images) for images in (100, 900, 950)] == [0.9, 0.9, 0.95]


def test_other_schedules_go_on_in_a_longer_training_too(train, tmp_path):
    chosen = (
        "adversary=null", "model.kl_warmup=0.5", "introspective.start=0.5",
        "introspective.ramp=0",
    )  # fmt: skip
    train(tmp_path / "run", *chosen, "training.images=32")
    run = train(tmp_path / "run", *chosen, "training.images=128")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    begun = [line["images"] for line in lines if "introspective_encoder" in line]
    assert begun == list(range(32, 129, 16)), "it is not before 64 of 128 images again"


def test_an_adversary_that_has_begun_goes_on_in_a_longer_training(train, tmp_path):
    """By shares of the new length it would have ended, and begun a second time."""
    chosen = ("adversary.start=0.25", "adversary.warmup=0", "adversary.ramp=0")
    train(tmp_path / "run", *chosen, "training.images=32")
    run = train(tmp_path / "run", *chosen, "training.images=320")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    begun = [line["images"] for line in lines if "critic" in line]
    assert begun == list(range(16, 321, 16)), "it is not before 80 of 320 images again"
    watched = [line["images"] for line in lines if "critic_fake_logit_watch" in line]
    assert watched == begun
