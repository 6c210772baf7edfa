"""A cache of the session's own, and one tiny training that many tests look at."""

import contextlib
import logging
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each of the processes that share the cores takes one; what they start does too.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]
STRANGE = "<script>&'plain\"<b>"
"""A name that would be a tag, of a folder."""
TINY = """
name: tiny
data: {source: "embedded:paintings", size: 16, limit: 48}
model: {width: 4, max_width: 8, latent_dim: 8, kl_warmup: 0.2}
adversary:
  {width: 4, max_width: 8, start: 0.25, ramp: 0.25, penalty_every: 2, weight: 0.5,
   feature_matching: 1.0, augment: [color, translation, cutout]}
training:
  {images: 128, batch_size: 8, ema_images: 64, lr_warmup: 16, tick: 16, snapshot: 64,
   checkpoint: 32}
"""


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Decoded pictures of all tests lie in a folder that goes with the session."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HIRESVAE_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """A training talks to a stream of its test's; it must not to that of the next."""
    yield
    _forget_handlers()


def _forget_handlers() -> None:
    log = logging.getLogger("hiresvae")
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()
    log.propagate = True


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of a training of two seconds: 16 pixels, 16 steps, the adversary from step 4 on."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def train(tiny: Path) -> Callable[..., Path]:
    """Trains on one thread: (out, *overrides, **options) -> run folder."""

    def run(out: Path, *overrides: str, **options: Any) -> Path:
        import torch

        from hiresvae.commands.train import train as command

        torch.set_num_threads(1)
        try:
            return command(tiny, list(overrides), out=out, **options)
        finally:
            _forget_handlers()

    return run


@pytest.fixture(scope="session")
def trained(train: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the tiny training; to be looked at, not to be changed."""
    return train(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="session")
def labelled(train: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a conditional training on the set's own labels."""
    return train(
        tmp_path_factory.mktemp("runs") / "labelled",
        "model.conditional=true", "data.labels=set", "training.images=64",
    )  # fmt: skip


@pytest.fixture(scope="session")
def compared(
    trained: Path,
    train: Callable[..., Path],
    network: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    """The tiny training beside a plain VAE of the same data, whose name is somebody's prank."""
    from hiresvae.uses.compare import compare

    folder = tmp_path_factory.mktemp("compared")
    plain = train(folder / STRANGE, "adversary=null", "training.images=64")
    kept = [folder / "tiny.json", folder / "plain.json"]
    asked = {"samples": 16, "features": network, "metrics": "all"}
    return compare([str(trained), str(plain)], kept, **asked)


@pytest.fixture(scope="session")
def laddered(train: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a ladder of four rungs, two in its prior, with an adversary."""
    return train(
        tmp_path_factory.mktemp("runs") / "laddered",
        "model.pyramid=1x1 4x2 8x1 ...", "model.top_rungs=2", "model.rung_dim=3",
        "adversary.fakes=[coarse, fitted, reconstructions]",
        "training.images=64",
    )  # fmt: skip


@pytest.fixture(scope="session")
def make_trainer(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Builds a trainer that has not begun: (*overrides) -> Trainer."""

    def make(*overrides: str) -> Any:
        import torch
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        from hiresvae.configuration import load_settings
        from hiresvae.data import open_data
        from hiresvae.run import RunFolder
        from hiresvae.training.trainer import Trainer

        torch.set_num_threads(1)
        settings = load_settings(tiny, list(overrides))
        run = RunFolder(tmp_path_factory.mktemp("trainer") / "run")
        run.create()
        data = open_data(settings.data, inputs=settings.inputs, progress=False)
        AcceleratorState._reset_state()  # it holds the first precision of a process for ever
        accelerator = Accelerator(mixed_precision=settings.training.precision)
        return Trainer(settings, data, run, accelerator)

    return make


@pytest.fixture(scope="session")
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a fresh interpreter on one thread: (*arguments) -> what it said and its code."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            timeout=600,
        )

    return call


@pytest.fixture(scope="session")
def both_processes() -> Callable[..., None]:
    """Runs Python with the given arguments as `accelerate launch` would: twice, one thread each."""

    def run(*arguments: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        together = {
            "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
            "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }  # fmt: skip
        both = [
            subprocess.Popen(
                [sys.executable, *arguments],
                env=os.environ | together | {"RANK": rank, "LOCAL_RANK": rank},
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in ("0", "1")
        ]
        try:
            said = [process.communicate(timeout=600)[1] for process in both]
        finally:
            for process in both:
                process.kill()
        assert [process.returncode for process in both] == [0, 0], "\n".join(said)

    return run


@pytest.fixture(scope="session")
def content() -> Callable[[Path], dict[str, bytes]]:
    """Reads a folder: (folder) -> bytes by relative path."""

    def read(folder: Path) -> dict[str, bytes]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    return read


@pytest.fixture(scope="session")
def weights(content: Callable[[Path], dict[str, bytes]]) -> Callable[[Path], dict[str, bytes]]:
    """Reads all that a training arrived at: (run folder) -> bytes by file and optimiser."""

    def read(run: Path) -> dict[str, Any]:
        import torch

        model = {k: v for k, v in content(run / "model").items() if k != "README.md"}
        last = max((run / "checkpoints").glob("[0-9]*"))
        state = {f"{last.name}/{k}": v for k, v in content(last).items() if "safetensors" in k}
        for file in last.glob("*.bin"):
            # Archives of the same numbers may differ in their bytes; the numbers may not.
            moments = torch.load(file, weights_only=True)["state"]
            for number, of_one in moments.items():
                for name, tensor in of_one.items():
                    state[f"{file.name}/{number}/{name}"] = tensor.numpy().tobytes()
        assert state, "there is a state to compare"
        return model | state

    return read


@pytest.fixture(scope="session")
def refused() -> Callable[..., contextlib.AbstractContextManager[None]]:
    """A context that expects one sentence of the user's error that holds the words."""

    @contextlib.contextmanager
    def context(*words: str) -> Iterator[None]:
        from hiresvae.errors import UserError

        with pytest.raises(UserError) as caught:
            yield
        for word in words:
            assert word in str(caught.value)
        assert "Traceback" not in str(caught.value)

    return context


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A TorchScript file of 27 features."""
    import torch

    class Patches(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.adaptive_avg_pool2d(x / 255, 3).flatten(1)

    path = tmp_path_factory.mktemp("features") / "patches.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.script(Patches()).save(str(path))
    return str(path)


@pytest.fixture
def open_browser(tmp_path: Path) -> Callable[..., Any]:
    """Opens a browser: (width, dark) -> a context that gives its page."""
    from tests.browser import BROWSER, browsing

    if BROWSER is None:
        pytest.skip("needs a chromium")
    return lambda **chosen: browsing(tmp_path, **chosen)
