import contextlib
import errno
import json
import logging
import os
import shutil
import struct
import zlib
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import accelerate
import numpy as np
import pytest
from accelerate import tracking
from accelerate.tracking import GeneralTracker
from accelerate.utils import LoggerType
from PIL import Image

from hiresvae.adversarial import AdversarySettings
from hiresvae.cli import main
from hiresvae.commands.train import _accelerator, _log_to, less_memory
from hiresvae.configuration import load_settings
from hiresvae.errors import UserError
from hiresvae.run import RunFolder
from hiresvae.settings import DataSettings, ModelSettings, Settings, TrainingSettings


def test_a_folder_of_other_settings_is_refused_and_stays(trained, train, content, refused):
    before = content(trained)
    with refused("training.lr 0.0004", "now say 0.001", "--out", "--fresh"):
        train(trained, "training.lr=0.001")
    with refused("adversary"):
        train(trained, "adversary=null")
    assert content(trained) == before


def test_a_training_begins_with_what_its_split_does_to_the_critic(train, tmp_path):
    run = train(tmp_path / "run", "training.images=12", "training.batch_size=6")
    said = (run / "train.log").read_text().splitlines()
    words = [line for line in said if "careful: each of 1 process(es)" in line]
    assert len(words) == 1 and "6 of 6 pictures at once" in words[0]
    assert "training tiny to 12 images" in said[said.index(words[0]) - 1], "before the first step"


def test_what_changes_no_number_may_change(train, tmp_path):
    train(tmp_path / "run", "training.images=16")
    train(tmp_path / "run", "training.images=16", "training.tick=8", "data.device_cache=false")
    assert "tick: 8" in (tmp_path / "run" / "config.yaml").read_text()


def test_a_run_whose_memory_ran_out_goes_on_with_less(train, tmp_path):
    train(tmp_path / "run", "training.images=16")
    lean = ("training.accumulation=2", "training.gradient_checkpointing=true")
    run = train(tmp_path / "run", "training.images=32", *lean)
    assert "continuing" in (run / "train.log").read_text()


def test_a_run_does_not_go_on_in_parts_that_make_its_critic_another(train, tmp_path, refused):
    whole = ("adversary.critic=whole", "training.batch_size=8")
    train(tmp_path / "run", "training.images=16", *whole)
    with refused("training.accumulation 1, the settings now say 4", "--fresh"):
        train(tmp_path / "run", "training.images=32", "training.accumulation=4", *whole)
    train(tmp_path / "run", "training.images=32", "training.accumulation=2", *whole)


def test_fresh_begins_anew_and_leaves_what_is_not_the_runs(train, content, tmp_path):
    run = tmp_path / "run"
    train(run, "training.images=32", "seed=5")
    (run / "notes.txt").write_text("mine")
    train(run, "training.images=16", fresh=True)
    assert (run / "notes.txt").read_text() == "mine"
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["000000016"]
    said = (run / "train.log").read_text()
    assert "training tiny to 16 images" in said, "the log is that of the new run"
    assert "to 32 images" not in said
    expected = train(tmp_path / "expected", "training.images=16")
    assert (content(run / "model")["model.safetensors"]
            == content(expected / "model")["model.safetensors"])  # fmt: skip


def test_a_config_that_cannot_be_read_is_refused(train, tmp_path, refused):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("data: {sise: 3}")
    with refused("data.sise", "--fresh"):
        train(tmp_path / "run")


def test_a_file_where_the_run_should_be_is_one_sentence(tiny, tmp_path, capsys):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(SystemExit) as caught:
        main(["train", str(tiny), "--out", str(tmp_path / "mine" / "run")])
    assert caught.value.code == 2
    assert "a file stands where a folder is needed" in capsys.readouterr().err
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_tracker_or_precision_that_is_not_there_is_refused(train, tmp_path, monkeypatch):
    monkeypatch.setattr("hiresvae.commands.train._importable", lambda name: False)
    with pytest.raises(UserError, match=r"'tensorboard' is not installed; pip install"):
        train(tmp_path / "run", "training.trackers=[tensorboard]")


def test_a_conditional_run_knows_its_labels(labelled):
    assert '"sea"' in (labelled / "model" / "labels.json").read_text()
    card = (labelled / "model" / "README.md").read_text()
    (line,) = (line for line in card.splitlines() if line.startswith("- labels: "))
    assert "haystacks" in line


def test_fresh_with_data_that_cannot_be_opened_leaves_everything(train, content, tmp_path, refused):
    run = train(tmp_path / "run", "training.images=16")
    before = content(run)
    with refused("did you mean 'monet'"):
        train(run, "data.source=monett", fresh=True)
    with refused("'/nowhere/at/all'"):
        train(run, "data.source=/nowhere/at/all", fresh=True)
    assert content(run) == before


def test_fresh_begins_anew_whatever_the_old_settings_were(train, tmp_path):
    run = train(tmp_path / "run", "training.images=16")
    (run / "config.yaml").write_text("data: {sise: 3}")
    train(run, "training.images=16", "training.lr=1e-3", fresh=True)
    assert "lr: 0.001" in (run / "config.yaml").read_text()


def test_fresh_takes_a_link_to_checkpoints_and_not_what_it_leads_to(train, tmp_path):
    run = train(tmp_path / "run", "training.images=16")
    (run / "checkpoints").rename(tmp_path / "disk")
    (run / "checkpoints").symlink_to(tmp_path / "disk")
    train(run, "training.images=32", "seed=3", fresh=True)
    assert "continuing" not in (run / "train.log").read_text()
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["000000016"]


@pytest.fixture
def pictures(tmp_path):
    """Thirty pictures of noise, in a folder."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(30):
        noise = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{i:02}.png")
    return folder


def test_a_run_on_pictures_that_changed_is_refused(train, content, pictures, tmp_path, refused):
    words = (f"data.source={pictures}", "training.images=16")
    run = train(tmp_path / "run", *words)
    train(run, *words)
    before = content(run)
    (pictures / "00.png").unlink()
    with refused("other pictures", "(30 then, 29 now)", "--out", "--fresh"):
        train(run, *words)
    assert content(run) == before
    train(run, *words, fresh=True)
    assert json.loads((run / "data_report.json").read_text())["used"] == 29


def test_a_run_that_never_kept_a_key_or_a_state_goes_on(train, pictures, tmp_path):
    words = (f"data.source={pictures}", "training.images=16")
    run = train(tmp_path / "run", *words)
    report = json.loads((run / "data_report.json").read_text())
    del report["key"]
    (run / "data_report.json").write_text(json.dumps(report))
    (pictures / "00.png").unlink()
    train(run, *words)
    shutil.rmtree(run / "checkpoints")
    (pictures / "01.png").unlink()
    train(run, *words)
    assert json.loads((run / "data_report.json").read_text())["used"] == 28


def gigantic() -> bytes:
    """A PNG whose header announces 12,000 x 12,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 12_000, 12_000, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


def test_a_folder_of_good_and_bad_files_is_trained_on(train, pictures, tmp_path):
    whole = (pictures / "00.png").read_bytes()
    (pictures / "empty.jpg").touch()
    (pictures / "text.png").write_text("hello")
    (pictures / "cut.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "gigantic.png").write_bytes(gigantic())
    (pictures / "nowhere.png").symlink_to(tmp_path / "nothing")
    (pictures / "device.png").symlink_to("/dev/zero")
    os.mkfifo(pictures / "pipe.png")
    (pictures / "again").symlink_to(pictures)
    (pictures / os.fsdecode(b"caf\xe9.png")).write_text("hello")
    run = train(tmp_path / "run", f"data.source={pictures}", "training.images=32")
    report = json.loads((run / "data_report.json").read_text())
    reasons = dict(report["skipped"])
    assert (report["found"], report["used"], len(reasons)) == (39, 30, 9)
    assert reasons.pop("cut.png").startswith("broken: ")
    assert reasons == {
        "empty.jpg": "empty file",
        "text.png": "not a picture",
        "caf\udce9.png": "not a picture",
        "gigantic.png": "gigantic: 12000 x 12000 pixels, more than 100 million",
        "nowhere.png": "cannot be read: No such file or directory",
        "device.png": "no regular file",
        "pipe.png": "no regular file",
        "again": "a link to a folder that is read already",
    }
    assert "9 skipped" in (run / "train.log").read_text()
    assert (run / "model/model.safetensors").exists()


class Lines(GeneralTracker):
    """A tracker that keeps a line of JSON a call, in place of one that may not be installed."""

    name = "tensorboard"
    requires_logging_directory = True

    def __init__(self, run_name, logging_dir):
        super().__init__()
        self.path = Path(logging_dir) / f"{run_name}.jsonl"

    @property
    def tracker(self):
        return self.path

    def log(self, values, step=None, **_):
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

    def finish(self):
        self.log({"finished": True})


def test_trackers_are_told_every_tick_and_the_end(train, tmp_path, monkeypatch):
    monkeypatch.setattr("hiresvae.commands.train._importable", lambda name: True)
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "tensorboard", Lines)
    available = [*tracking.get_available_trackers(), LoggerType.TENSORBOARD]
    monkeypatch.setattr(tracking, "get_available_trackers", lambda: available)
    run = train(tmp_path / "run", "training.images=32", "training.trackers=[tensorboard]")
    lines = [json.loads(line) for line in (run / "tiny.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines[:-1]] == [16, 32]
    assert all("distortion_nats" in line and "time" not in line for line in lines[:-1])
    assert lines[-1]["finished"]


def test_tensorboard_gets_its_events(train, tmp_path):
    pytest.importorskip("tensorboard")
    run = train(tmp_path / "run", "training.images=16", "training.trackers=[tensorboard]")
    assert list(run.rglob("events.out.tfevents.*"))


def test_a_full_disk_costs_the_log_one_sentence(tmp_path, capsys):
    run = RunFolder(tmp_path)
    _log_to(run)
    log = logging.getLogger("hiresvae")
    file = log.handlers[0]

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    whole = file.stream
    file.stream = SimpleNamespace(write=full, flush=lambda: None, close=lambda: None)
    log.info("one")
    log.info("two")
    file.stream = whole
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3 and {"one", "two"} <= set(said)
    assert "train.log cannot be written (No space left on device)" in "".join(said)
    log.removeHandler(log.handlers[1])
    log.info("three %s", "caf\udce9")
    assert "three caf\\udce9" in run.log.read_text(), "names in another encoding are escaped"


def test_a_report_that_cannot_be_written_is_a_sentence(train, tmp_path, monkeypatch, refused):
    write = Path.write_text

    def full(self, text, **options):
        if "data_report" in self.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, text, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with refused("data_report.json", "no space is left on the disk"):
        train(tmp_path / "run", "training.images=16")


def test_processes_wait_for_one_that_decodes_for_long(train, tmp_path, monkeypatch):
    given = []
    begin = accelerate.Accelerator.__init__

    def begun(self, *inputs, **options):
        begin(self, *inputs, **options)
        given.append(self.init_handler)

    monkeypatch.setattr(accelerate.Accelerator, "__init__", begun)
    train(tmp_path / "run", "training.images=8")
    assert given[0].timeout >= timedelta(days=1), "half an hour unless told"


def test_two_processes_without_a_gpu_train_together_under_any_launcher(
    tiny, tmp_path, both_processes
):
    alone = (
        "import os; del os.environ['ACCELERATE_USE_CPU']; os.environ['CUDA_VISIBLE_DEVICES'] = ''"
    )
    asked = ["train", str(tiny), "--out", str(tmp_path / "run"), "--set", "training.images=16"]
    both_processes("-c", f"{alone}; from hiresvae.cli import app; app()", *asked)
    assert "images on cpu (2 processes)" in (tmp_path / "run" / "train.log").read_text()


def test_processes_that_do_not_know_of_one_another_are_refused(tiny, tmp_path, refused):
    settings = load_settings(tiny)
    with refused("2 processes were started", "trains 1 together", "--device cpu"):
        _accelerator(settings, RunFolder(tmp_path / "run"), None, 2)


def test_the_device_can_be_chosen(train, tmp_path, refused):
    run = train(tmp_path / "run", "training.images=16", device="cpu")
    assert "images on cpu" in (run / "train.log").read_text()
    with refused("device 'gpu' is not on this machine"):
        train(tmp_path / "other", device="gpu")
    assert not (tmp_path / "other").exists()


def test_products_may_be_shortened_on_the_device_that_trains(train, tmp_path, monkeypatch):
    devices = []

    def noted(device):
        devices.append(device.type)
        return contextlib.nullcontext()

    monkeypatch.setattr("hiresvae.devices.shortened_products", noted)
    train(tmp_path / "run", "training.images=8", device="cpu")
    assert devices == ["cpu"]


def test_memory_that_ran_out_names_smaller_settings(train, tmp_path, monkeypatch, refused):
    def fit(self):
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr("hiresvae.training.trainer.Trainer.fit", fit)
    ways = (
        "data.device_cache false",
        "training.accumulation 2",
        "4 (instead of 8)",
        "data.size 14",
    )
    with refused("memory ran out", *ways):
        train(tmp_path / "run", "data.device_cache=true")


def test_the_smaller_batch_fits_the_processes():
    settings = Settings(training=TrainingSettings(batch_size=6, accumulation=1))
    words = less_memory(settings, processes=3)
    assert "training.accumulation 2" in words and "training.batch_size 3 (instead of 6)" in words
    words = less_memory(settings.model_copy(update={"data": DataSettings(size=8)}), processes=6)
    assert not any(key in words for key in ("accumulation", "batch_size", "data.size"))


def test_what_needs_less_memory_begins_with_what_costs_nothing():
    held = Settings(data=DataSettings(device_cache=True))
    words = less_memory(held, processes=1)
    keys = [way.split()[0] for way in words.split(", or ")]
    assert keys == [
        "data.device_cache", "training.accumulation", "training.gradient_checkpointing",
        "training.precision", "training.batch_size", "data.size", "a",
    ]  # fmt: skip
    assert "device_cache false" in words and "checkpointing true" in words and "bf16" in words
    lean = {"gradient_checkpointing": True, "precision": "bf16"}
    done = Settings(training=TrainingSettings(**lean), data=DataSettings(device_cache=False))
    assert less_memory(done, processes=1).startswith("training.accumulation 2")


@pytest.mark.parametrize(("kinds", "named"), [(["cpu"], False), (["cuda", "cpu"], True)])
def test_a_cpu_that_holds_no_pictures_is_not_told_to_give_them_back(monkeypatch, kinds, named):
    monkeypatch.setattr("hiresvae.devices.usable_kinds", lambda: kinds)
    assert ("data.device_cache false" in less_memory(Settings(), processes=1)) == named


def test_no_setting_is_named_that_the_others_exclude():
    flat = Settings(model=ModelSettings(backbone="dense"))
    assert "gradient_checkpointing" not in less_memory(flat, processes=1)


@pytest.mark.parametrize(("batch", "same"), [(8, True), (4, False)])
def test_a_batch_in_more_parts_is_the_same_only_to_a_critic_that_sees_its_groups(batch, same):
    settings = Settings(
        training=TrainingSettings(batch_size=batch), adversary=AdversarySettings(critic="whole")
    )
    words = less_memory(settings, processes=1)
    why = "the same result, a batch in parts" if same else "a batch in parts"
    assert f"training.accumulation 2 ({why})" in words


def test_a_second_training_in_one_python_may_have_another_precision(train, tmp_path):
    for name, precision in (("half", "bf16"), ("whole", "no"), ("again", "bf16")):
        run = train(
            tmp_path / name,
            "training.images=8",
            "adversary=null",
            f"training.precision={precision}",
        )
        assert (run / "model" / "model.safetensors").is_file()
