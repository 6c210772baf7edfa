"""The page of a model on a free port."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from hiresvae.explore.server import Explorer
from hiresvae.explore.studio import furnish
from hiresvae.generator import load


@contextmanager
def serving(model: Path | str, name: str) -> Iterator[Explorer]:
    """The page of a model on a free port."""
    torch.set_num_threads(1)
    with Explorer(lambda: furnish(load(model, device="cpu"), axes=3), name) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def serve() -> Callable[..., Any]:
    """Serves a model: (model, name) -> a context that gives the server."""
    return serving
