"""``hiresvae explore``: a page on this machine to play with a model."""

import webbrowser

from hiresvae.errors import Terminated
from hiresvae.explore.server import Explorer
from hiresvae.explore.studio import Studio, furnish
from hiresvae.generator import load


def run(
    *,
    model: str,
    port: int = 0,
    browser: bool = True,
    source: str | None = None,
    device: str | None = None,
) -> None:
    """Serves the page on the loopback address until interrupted.

    Args:
        model: run folder or model folder.
        port: 0 for a free one.
        browser: open the page.
        source: where examples of attributes come from, as ``data.source``; None: see
            `hiresvae.explore.studio.learn_all`.
        device: None takes what there is.
    """

    def studio() -> Studio:
        painter = load(model, device=device)
        print(f"{model}: looking for its main directions and attributes", flush=True)
        return furnish(painter, source=source)

    with Explorer(studio, model, port) as server:
        print(f"{server.url} (Ctrl-C ends it)", flush=True)
        if browser:
            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except Terminated:
            raise  # the one that has an exit code of its own
        except KeyboardInterrupt:
            print("ended")
