"""The commands for what a person does with a trained model; `hiresvae.cli` takes them up."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hiresvae.cli_common import Device, Model


class Way(StrEnum):
    """How to go from one latent to another."""

    linear = "linear"
    spherical = "spherical"


COMMANDS: list[tuple[str, Callable[..., Any]]] = []
"""Example and function of each command."""


def _command(example: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def keep(function: Callable[..., Any]) -> Callable[..., Any]:
        COMMANDS.append((f"Example: {example}", function))
        return function

    return keep


Scale = Annotated[
    int | None, typer.Option(min=1, help="Times to enlarge; small pictures are unless told.")
]


@_command("hiresvae interpolate runs/monet_vae sample:1 sample:2 sample:3 --out way.gif")
def interpolate(
    model: Model,
    keys: Annotated[
        list[str], typer.Argument(metavar="A B [C...]", help="Pictures, or sample:SEED.")
    ],
    out: Annotated[Path, typer.Option(help="File: .png .jpg .webp .gif, or .mp4 (extra video).")],
    steps: Annotated[
        int | None, typer.Option(min=2, help="Pictures a leg; 9 in a strip, 24 in a film.")
    ] = None,
    way: Annotated[Way, typer.Option(help="A straight line, or an arc.")] = Way.spherical,
    rungs: Annotated[
        str, typer.Option(help="all, each (a row a rung), or the number of the one that moves.")
    ] = "all",
    loop: Annotated[bool, typer.Option("--loop", help="Go back to A at the end.")] = False,
    fps: Annotated[float, typer.Option(min=1, max=50, help="Frames a second of a film.")] = 20.0,
    scale: Scale = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="Of samples.")] = 1.0,
    device: Device = None,
) -> None:
    """Go from picture to picture.

    As a strip, or as a film.
    """
    from hiresvae.commands.interpolate import run

    run(
        model=model, keys=keys, out=out, steps=steps, way=way.value, rungs=rungs, loop=loop,
        fps=fps, scale=scale, temperature=temperature, device=device,
    )  # fmt: skip
