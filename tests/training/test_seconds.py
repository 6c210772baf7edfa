"""How long a training took, whatever its clock did."""

from hiresvae.training.seconds import training_seconds


def line(images, time, speed):
    return {"images": images, "time": time, "images_per_second": speed}


def test_seconds_are_those_of_the_clock_from_the_first_image_on():
    lines = [line(100, 1000.0, 10.0), line(200, 1012.0, 9.0), line(300, 1020.0, 9.5)]
    assert training_seconds(lines).tolist() == [10.0, 22.0, 30.0]


def test_a_night_between_two_sessions_is_no_training():
    lines = [line(100, 1000.0, 10.0), line(200, 50_000.0, 20.0), line(300, 50_005.0, 20.0)]
    assert training_seconds(lines).tolist() == [10.0, 15.0, 20.0]


def test_a_clock_that_is_put_back_or_forward_takes_no_time_away():
    lines = [line(100, 1e6, 10.0), line(200, 50.0, 10.0), line(300, 1e9, 10.0), line(400, 9.0, 5.0)]
    assert training_seconds(lines).tolist() == [10.0, 20.0, 30.0, 50.0]


def test_a_slow_snapshot_is_training():
    lines = [line(100, 1000.0, 10.0), line(200, 1035.0, 5.0)]
    assert training_seconds(lines).tolist() == [10.0, 45.0]


def test_another_version_of_the_file_is_refused_in_words(refused):
    with refused("line 2", "images_per_second"):
        training_seconds([line(1, 1.0, 1.0), {"images": 2, "time": 2.0}])
