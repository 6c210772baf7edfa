import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hiresvae
from hiresvae.cli import app, in_words, main
from hiresvae.errors import OwnError, Terminated, UserError

COMMANDS = ["train", "sample", "reconstruct", "data", "evaluate"]
COMMANDS += ["interpolate", "edit", "latent", "export", "anomaly", "restore", "compare"]
ROOT = Path(hiresvae.__file__).parents[1]


def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"} | environment,
        timeout=60,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert f"Example: hiresvae {command} " in result.output


def test_examples_in_help_parse(monkeypatch):
    """Each example reaches its command: what it says exists."""
    seen = []
    for command in COMMANDS:
        help_text = " ".join(CliRunner().invoke(app, [command, "--help"]).output.split())
        words = help_text.split("Example: hiresvae ")[1].split()
        callback = next(c for c in app.registered_commands if c.callback.__name__ == command)
        monkeypatch.setattr(callback, "callback", _recorder(callback.callback, seen))
        assert CliRunner().invoke(app, words).exit_code == 0, words
    assert seen == COMMANDS


def _recorder(callback, seen):
    import functools

    @functools.wraps(callback)
    def record(**_):
        seen.append(callback.__name__)

    return record


def test_help_names_the_commands_and_no_arguments_is_help():
    shown = CliRunner().invoke(app, ["--help"]).output
    assert all(re.search(rf"^  {command} ", shown, re.M) for command in COMMANDS)
    assert "..." not in shown.split("Commands:")[1], (
        "the first lines of the commands are short enough to be read whole"
    )
    assert "Commands:" in CliRunner().invoke(app, []).output


def test_what_a_model_may_be_is_what_load_takes(tmp_path, monkeypatch):
    from hiresvae import hub

    help_text = " ".join(CliRunner().invoke(app, ["sample", "--help"]).output.split())
    assert "exported model folder, hf:ORG/NAME on the Hub, or one that comes along" in help_text
    monkeypatch.setattr(hub, "download", lambda repo, files: tmp_path / repo)
    with pytest.raises(UserError, match="org/name lacks config"):
        hiresvae.load("hf:org/name")


def test_version_and_module_are_the_command():
    done = call("-m", "hiresvae", "--version")
    assert (done.returncode, done.stdout) == (0, f"hiresvae {hiresvae.__version__}\n")


def test_help_is_instant():
    def seconds() -> float:
        start = time.perf_counter()
        call("-m", "hiresvae", "--help")
        return time.perf_counter() - start

    bare = min(_bare() for _ in range(3))
    assert min(seconds() for _ in range(3)) - bare < 0.5


def _bare() -> float:
    start = time.perf_counter()
    call("-c", "pass")
    return time.perf_counter() - start


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian", "x.yaml"], "Did you mean 'train'?"),
        (["train", "x.yaml", "--dry-rnu"], "--dry-run"),
        (["sample", "m", "--prior", "fited"], "'fitted', 'standard'"),
        (["sample", "m", "--n", "0"], "Invalid value for '--n'"),
        (["sample", "m", "--temperature", "nan"], "Invalid value for '--temperature'"),
        (["sample", "m", "--temperature", "1,-1"], "must be 0 or more; nearest valid: 0"),
        (["ladder", "m", "--temperature", "warm"], "or numbers with commas between"),
        (
            ["edit", "m", "a.png", "--attribute", "x", "--strength", "nan"],
            "nan is no finite number",
        ),
        (["sample", "m", "--truncation", "nan"], "Invalid value for '--truncation'"),
        (["sample", "m", "--truncation", "5"], "Invalid value for '--truncation'"),
        (["edit", "m", "p", "--attribute", "x", "--detail", "2"], "Invalid value for '--detail'"),
        (["evaluate", "m", "--out", "f.json", "--samples", "7"], "Invalid value for '--samples'"),
        (["reconstruct", "m", "a.png"], "Missing option '--out'"),
    ],
)
def test_usage_errors_say_what_is_near_and_exit_with_2(arguments, words):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


def test_a_mistake_in_the_settings_is_one_line_on_stderr(tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("data: {sise: 64}")
    done = call("-m", "hiresvae", "train", str(config))
    assert done.returncode == 2
    assert done.stdout == ""
    expected = f"hiresvae: {config}: unknown key 'data.sise': did you mean 'data.size'?\n"
    assert done.stderr == expected


def test_the_launched_script_does_the_same(tmp_path):
    script = str(ROOT / "scripts" / "train.py")
    arguments = [str(tmp_path / "none.yaml"), "--set", "data.size=64"]
    done, same = call(script, *arguments), call("-m", "hiresvae", "train", *arguments)
    assert "no configuration" in done.stderr
    assert (done.returncode, done.stderr) == (same.returncode, same.stderr)
    other = call(script, *arguments, LOCAL_RANK="1")
    assert (other.returncode, other.stderr) == (2, ""), "one process speaks for all on a machine"


def test_help_settings_prints_every_key():
    done = call("-m", "hiresvae", "train", "--help-settings", COLUMNS="200")
    assert done.returncode == 0
    assert "data.size" in done.stdout
    assert "adversary.gamma" in done.stdout
    assert "[420, 210, 105]" in done.stdout


def test_a_reader_that_leaves_is_no_error():
    command = f"{sys.executable} -m hiresvae train --help-settings | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (UserError("no such\nthing"), 2, "hiresvae: no such thing\n"),
        (UserError("a name \udcff"), 2, "hiresvae: a name \\udcff\n"),
        (KeyboardInterrupt(), 130, "hiresvae: interrupted\n"),
        (KeyboardInterrupt("state saved"), 130, "hiresvae: interrupted (state saved)\n"),
        (
            Terminated(), 143,
            "hiresvae: stopped by SIGTERM (what was finished is kept); the same command does the "
            "rest\n",
        ),
        (
            Terminated("state saved"), 143,
            "hiresvae: stopped by SIGTERM (state saved); the same command does the rest\n",
        ),
    ],
)  # fmt: skip
def test_each_end_has_its_words_and_its_code(error, code, words, capsys):
    with pytest.raises(SystemExit) as caught, in_words():
        raise error
    assert caught.value.code == code
    assert capsys.readouterr().err == words


def sigterm(*_, **__):
    os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_unwinds_what_runs_and_its_handler_is_put_back(capsys):
    unwound = []
    with pytest.raises(SystemExit) as caught, in_words():
        try:
            sigterm()
        finally:
            unwound.append(True)
    assert caught.value.code == 143 and unwound
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("hiresvae: stopped by SIGTERM")


def test_whoever_minds_sigterm_goes_on_minding_it():
    heard, before = [], signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: heard.append(True))
    try:
        with in_words():
            sigterm()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard


def test_words_need_no_main_thread():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(in_words()(lambda: None)).result()


REPLACE = "pathlib.Path.replace"
"""What ends each writing of a file: until then it has another name."""
STOPPED = {
    "decoding": ("hiresvae.data.store.attempt", ["data", "embedded:paintings", "--size", "8"]),
    "a store": (REPLACE, ["data", "embedded:paintings", "--size", "8", "--limit", "9"]),
    "a report": (REPLACE, ["evaluate", "RUN", "--samples", "16", "--features", "none"]),
    "a picture": (REPLACE, ["sample", "RUN", "--n", "1"]),
}


@pytest.mark.parametrize("name", STOPPED)
def test_sigterm_in_any_command_is_a_sentence_and_leaves_nothing_half_written(
    name, trained, tmp_path, monkeypatch, capsys, content
):
    where, words = STOPPED[name]
    if words[0] == "data":
        monkeypatch.setenv("HIRESVAE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(where, sigterm)
    words = [str(trained) if word == "RUN" else word for word in words]
    with pytest.raises(SystemExit) as caught:
        main([*words, "--out", str(tmp_path / "out.png")])
    assert caught.value.code == 143
    (said,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("hiresvae:")]
    assert "stopped by SIGTERM" in said
    assert all(file.endswith(".lock") for file in content(tmp_path))


def test_our_fault_shows_a_traceback_and_how_to_report_it(capsys):
    with pytest.raises(SystemExit) as caught, in_words():
        raise RuntimeError("a bug")
    said = capsys.readouterr().err
    assert caught.value.code == 1
    assert "Traceback" in said
    assert "RuntimeError: a bug" in said
    assert said.splitlines()[-1].startswith(f"hiresvae {hiresvae.__version__}: this is our fault")


def test_memory_that_ran_out_is_no_fault_of_ours(capsys):
    with pytest.raises(SystemExit) as caught, in_words():
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("hiresvae: memory ran out; fewer or smaller pictures")
    assert len(said.splitlines()) == 1


def test_of_a_process_that_is_gone_the_others_speak(capsys, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(SystemExit) as caught, in_words():
        raise RuntimeError("[gloo/transport] Connection closed by peer [127.0.0.1]:2345")
    assert caught.value.code == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("hiresvae: another process of this run has ended")


def test_what_one_of_several_processes_met_alone_it_says_itself(capsys, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    for error, said in ((UserError("of all"), ""), (OwnError("its own"), "hiresvae: its own\n")):
        with pytest.raises(SystemExit), in_words():
            raise error
        assert capsys.readouterr().err == said


def test_options_reach_the_command_as_they_were_given(monkeypatch, tmp_path):
    seen = {}

    def train(config, overrides, **options):
        seen.update(config=config, overrides=overrides, **options)

    monkeypatch.setitem(sys.modules, "hiresvae.commands.train", type(sys)("fake"))
    sys.modules["hiresvae.commands.train"].train = train
    words = ["train", "c.yaml", "--set", "data.size=32", "--seed", "7", "--set", "adversary=null"]
    with pytest.raises(SystemExit) as caught:
        main([*words, "--out", str(tmp_path), "--dry-run", "--device", "cpu"])
    assert caught.value.code == 0
    assert seen == {
        "config": "c.yaml",
        "overrides": ["data.size=32", "adversary=null", "seed=7"],
        "out": tmp_path,
        "dry_run": True,
        "fresh": False,
        "device": "cpu",
    }
