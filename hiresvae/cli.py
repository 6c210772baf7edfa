"""The command line: arguments to one command each, and words for whatever goes wrong.

Nothing heavy is imported before a command runs, so that ``--help`` is instant.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hiresvae import __version__, cli_uses
from hiresvae.cli_common import Device, Model, Seed, Temperature, finite, in_words


class Prior(StrEnum):
    """Where samples come from."""

    fitted = "fitted"
    standard = "standard"


class Which(StrEnum):
    """Which model of a run."""

    best = "best"
    last = "last"


class Format(StrEnum):
    """How pictures are written."""

    png = "png"
    jpg = "jpg"
    webp = "webp"


# Plain help: rich would double the time until it shows.
app = typer.Typer(
    name="hiresvae",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: list[str] | None = None) -> None:
    """Runs a command and ends the process with its exit code; None: what the process was given."""
    with in_words():
        app(arguments, prog_name="hiresvae")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hiresvae {__version__}")
        raise typer.Exit


def _help_settings(wanted: bool) -> None:
    if wanted:
        from rich.console import Console

        from hiresvae.configuration import settings_table

        Console().print(settings_table())
        raise typer.Exit


@app.callback()
def hiresvae(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Learns from a folder of pictures and makes new ones."""


@app.command(epilog="Example: hiresvae train configs/monet_vae.yaml --set data.size=64")
@in_words()
def train(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A YAML file of settings.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; runs/NAME unless told.", file_okay=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same as --set seed=N.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show settings, sizes and time, and stop.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew instead of continuing the run.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="Such as cpu or cuda; what Accelerate finds unless told.")
    ] = None,
    help_settings: Annotated[
        bool,
        typer.Option(
            "--help-settings", callback=_help_settings, is_eager=True, help="Print all settings."
        ),
    ] = False,
) -> None:
    """Train a model; the same command goes on later."""
    from hiresvae.commands.train import train as run

    changes = [*(overrides or []), *([] if seed is None else [f"seed={seed}"])]
    run(config, changes, out=out, dry_run=dry_run, fresh=fresh, device=device)


@app.command(epilog="Example: hiresvae sample runs/monet_vae --n 16 --out pictures --seed 7")
@in_words()
def sample(
    model: Model,
    n: Annotated[int, typer.Option("--n", min=1, help="How many pictures.")] = 64,
    out: Annotated[Path, typer.Option(help="Folder of the pictures.")] = Path("samples"),
    seed: Seed = 0,
    temperature: Temperature = "1",
    truncation: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            callback=finite,
            help="Below 1, the top latents move towards the mean of the whole prior.",
        ),
    ] = 1.0,
    prior: Annotated[
        Prior, typer.Option(help="The density fitted to the data, or N(0, I).")
    ] = Prior.fitted,
    label: Annotated[str | None, typer.Option(help="Name of the label to draw.")] = None,
    grid: Annotated[
        Path | None,
        typer.Option(help="File of the grid of all pictures; OUT_grid.png beside OUT unless told."),
    ] = None,
    format: Annotated[Format, typer.Option(help="File format of the pictures.")] = Format.png,
    which: Annotated[
        Which, typer.Option(help="Of a run the last model, or the best by held-out pictures.")
    ] = Which.last,
    device: Device = None,
) -> None:
    """Make new pictures.

    Picture i depends on the seed and i only, however many are made.
    """
    from hiresvae.commands.sample import run

    run(
        model=model, n=n, out=out, seed=seed, temperature=temperature, truncation=truncation,
        prior=prior.value, label=label, grid=grid, format=format.value, device=device,
        which=which.value,
    )  # fmt: skip


@app.command(epilog="Example: hiresvae reconstruct runs/monet_vae holiday/*.jpg --out side_by_side")
@in_words()
def reconstruct(
    model: Model,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Pictures or folders.")],
    out: Annotated[Path, typer.Option(help="Folder of the result.")],
    device: Device = None,
) -> None:
    """Show pictures beside what the model keeps of them.

    The figures are in reconstruct.json.
    """
    from hiresvae.commands.reconstruct import run

    run(model=model, paths=paths, out=out, device=device)


@app.command(epilog="Example: hiresvae data my_pictures --labels folders --out sheet.png")
@in_words()
def data(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="Folder, archive or named set, as in data.source."),
    ],
    out: Annotated[Path | None, typer.Option(help="Write a sheet of pictures to a file.")] = None,
    size: Annotated[int, typer.Option(help="Side of the pictures in pixels.")] = 64,
    labels: Annotated[str, typer.Option(help="As in data.labels.")] = "none",
    limit: Annotated[int | None, typer.Option(help="At most so many pictures.")] = None,
) -> None:
    """Tell what is in a source of pictures.

    Counts, sizes, labels, files that are no pictures and why, duplicates.
    """
    from hiresvae.commands.data import run

    run(source=source, out=out, size=size, labels=labels, limit=limit)


@app.command(epilog="Example: hiresvae evaluate runs/monet_vae --out report.json")
@in_words()
def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL|FOLDER", help="A model, or a folder of pictures.")
    ],
    out: Annotated[Path, typer.Option(help="JSON file of the figures.")],
    reference: Annotated[
        Path | None,
        typer.Option(
            help="Folder of real pictures, archive or known set; the run's own unless told."
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(min=8, help="Pictures drawn for the figures; metrics.samples unless told."),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="auto, none, or a TorchScript file of a network; metrics.features unless told."
        ),
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(
            help="all, or with commas between: texture, patches, paired, distance, coverage, "
            "diversity, memory, likelihood."
        ),
    ] = "all",
    iwae: Annotated[
        int, typer.Option(metavar="K", min=0, help="Samples of the bound IWAE(K); 0: without.")
    ] = 0,
    seed: Seed = 0,
    device: Device = None,
) -> None:
    """Measure a model, or a folder of pictures.

    Every figure that can be computed, with its interval where there is an honest one; a folder is
    held against --reference.
    """
    from hiresvae.commands.evaluate import evaluate as run

    run(
        model, out, reference=reference, samples=samples, features=features, metrics=metrics,
        iwae=iwae, seed=seed, device=device,
    )  # fmt: skip


for _example, _command in cli_uses.COMMANDS:
    app.command(epilog=_example)(in_words()(_command))
