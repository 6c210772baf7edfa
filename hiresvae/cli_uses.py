"""The commands for what a person does with a trained model; `hiresvae.cli` takes them up."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hiresvae.cli_common import Device, Model, Seed, Temperature, finite


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


def _box(words: str) -> tuple[float, float, float]:
    """Returns left, top and side as ``0.1,0.1,0.8`` names them."""
    try:
        left, top, side = (finite(float(part)) for part in words.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{words!r} must be three numbers with commas between, such as 0.1,0.1,0.8."
        ) from None
    return left, top, side


# Any: what the words are read as, of which Typer knows no type.
FaceBox = Annotated[
    Any,
    typer.Option(
        parser=_box,
        metavar="LEFT,TOP,SIDE",
        help="Where the face is, in shares of the picture; that of the model's data unless told.",
    ),
]


def _share(value: float) -> float:
    """Returns a number from 0 to 1, which NaN is not."""
    if not 0 <= value <= 1:
        raise typer.BadParameter(f"{value:g} must be from 0 to 1.")
    return value


Detail = Annotated[
    float,
    typer.Option(
        callback=_share,
        help="How much of what the model forgets of a picture is given back to it, from 0 to 1.",
    ),
]


@_command("hiresvae interpolate runs/monet_vae sample:1 sample:2 sample:3 --out way.gif")
def interpolate(
    model: Model,
    keys: Annotated[
        list[str], typer.Argument(metavar="A B [C...]", help="Pictures, or sample:SEED.")
    ],
    out: Annotated[Path, typer.Option(help="File: .png .jpg .webp .gif, or .mp4 (extra video).")],
    steps: Annotated[
        int | None,
        typer.Option(min=2, max=10_000, help="Pictures a leg; 9 in a strip, 24 in a film."),
    ] = None,
    way: Annotated[Way, typer.Option(help="A straight line, or an arc.")] = Way.spherical,
    rungs: Annotated[
        str, typer.Option(help="all, each (a row a rung), or the number of the one that moves.")
    ] = "all",
    loop: Annotated[bool, typer.Option("--loop", help="Go back to A at the end.")] = False,
    fps: Annotated[
        float, typer.Option(min=1, max=50, callback=finite, help="Frames a second of a film.")
    ] = 20.0,
    scale: Scale = None,
    temperature: Temperature = "1",
    detail: Detail = 1.0,
    device: Device = None,
) -> None:
    """Go from picture to picture.

    As a strip, or as a film. What the model forgets of a picture is given back near it.
    """
    from hiresvae.commands.interpolate import run

    run(
        model=model, keys=keys, out=out, steps=steps, way=way.value, rungs=rungs, loop=loop,
        fps=fps, scale=scale, temperature=temperature, detail=detail, device=device,
    )  # fmt: skip


@_command("hiresvae ladder runs/monet_ladder a.jpg b.jpg sample:3 --keep 3 --out rungs")
def ladder(
    model: Model,
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="[A B...]", help="Pictures, or sample:SEED; samples unless told."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the sheets.")] = Path("ladder"),
    keep: Annotated[
        int | None, typer.Option(help="Rungs that stay, from the top; half unless told.")
    ] = None,
    draws: Annotated[
        int, typer.Option(min=1, max=100, help="Pictures drawn below the kept rungs.")
    ] = 6,
    temperature: Temperature = "1",
    seed: Seed = 0,
    scale: Scale = None,
    device: Device = None,
) -> None:
    """Show what each rung of a ladder says.

    Pictures built up from coarse to fine, their top rungs kept and the rest drawn anew, and the top
    rungs of each with the rest of every other.
    """
    from hiresvae.commands.ladder import run

    run(
        model=model, keys=keys or [], out=out, keep=keep, draws=draws, seed=seed,
        temperature=temperature, scale=scale, device=device,
    )  # fmt: skip


@_command("hiresvae edit runs/faces face.jpg sample:3 --attribute smile --strength 2 --out happy")
def edit(
    model: Model,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Pictures, folders, or sample:SEED.")
    ],
    attribute: Annotated[str, typer.Option(help="Name of what is moved.")],
    strength: Annotated[
        float,
        typer.Option(
            callback=finite,
            help="2 is about the way from one class to the other; of two labels -2 is the other.",
        ),
    ] = 2.0,
    out: Annotated[Path, typer.Option(help="Folder of the result.")] = Path("edited"),
    method: Annotated[
        str, typer.Option(help="means, normal, label (of a model with labels), or auto.")
    ] = "auto",
    keep: Annotated[
        list[str] | None, typer.Option(help="Attribute to hold still; may be repeated.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Table of attributes: a row a picture, a column each.")
    ] = None,
    having: Annotated[
        Path | None, typer.Option("--with", help="Folder of pictures with the attribute.")
    ] = None,
    lacking: Annotated[
        Path | None, typer.Option("--without", help="Folder of pictures without it.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Where examples come from; the model's data unless told.")
    ] = None,
    steps: Annotated[int, typer.Option(min=2, max=1000, help="Strengths in the sheet.")] = 5,
    detail: Detail = 1.0,
    identity: Annotated[
        bool | None,
        typer.Option(
            help="Report whether faces stay the same person; for known sets of faces unless told."
        ),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            help="TorchScript network that tells people apart; MobileFaceNet unless told."
        ),
    ] = None,
    face_box: FaceBox = None,
    device: Device = None,
) -> None:
    """Move one attribute of pictures and keep the rest.

    Attributes: brightness, colourfulness of colour pictures, skin_tone of faces (all measured), the
    classes and exact attributes of the data, columns of --csv, or the difference of two folders.
    What the model forgets of a picture is given back where the edit leaves its structure alone.
    What else moved, and how far faces stay the same person, is in edit.json.
    """
    from hiresvae.commands.edit import run

    run(
        model=model, paths=paths, attribute=attribute, strength=strength, out=out, method=method,
        keep=keep, csv=csv, having=having, lacking=lacking, source=source, steps=steps,
        detail=detail, identity=identity, features=features, face_box=face_box, device=device,
    )  # fmt: skip


@_command("hiresvae explore runs/monet_vae")
def explore(
    model: Model,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of 127.0.0.1; 0 takes a free one.")
    ] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Say where the page is, and do not open it.")
    ] = False,
    source: Annotated[
        str | None,
        typer.Option(
            help="Where examples of attributes come from; samples of the model unless told, or its "
            "own data where these are drawn by the package or a folder with labels."
        ),
    ] = None,
    device: Device = None,
) -> None:
    """Play with a model on a page in the browser.

    Samples, sliders for main directions and attributes, one's own pictures reconstructed and
    edited, the way between two, and their rungs mixed. Nothing leaves the machine.
    """
    from hiresvae.commands.explore import run

    run(model=model, port=port, browser=not no_browser, source=source, device=device)


class Projection(StrEnum):
    """How many dimensions become two."""

    pca = "pca"
    tsne = "tsne"
    umap = "umap"


@_command("hiresvae latent runs/fashion --out maps --method tsne")
def latent(
    model: Model,
    out: Annotated[Path, typer.Option(help="Folder of the maps.")],
    method: Annotated[Projection, typer.Option(help="Of the scatter.")] = Projection.pca,
    side: Annotated[int, typer.Option(min=2, max=50, help="Pictures a row of the sheet.")] = 15,
    rows: Annotated[int, typer.Option(min=1, max=64, help="Latents in the traversals.")] = 10,
    limit: Annotated[int, typer.Option(min=5, help="Pictures encoded at most.")] = 2000,
    source: Annotated[
        str | None, typer.Option(help="Whose pictures; the model's data unless told.")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="Label of the pictures of sheet and traversals; the first unless told."),
    ] = None,
    seed: Seed = 0,
    device: Device = None,
) -> None:
    """Draw maps of the latent space.

    A sheet over two dimensions, a scatter coloured by class, what single latents do, and the
    posterior of all pictures against the prior.
    """
    from hiresvae.commands.latent import run

    run(
        model=model, out=out, method=method.value, side=side, rows=rows, limit=limit,
        source=source, label=label, seed=seed, device=device,
    )  # fmt: skip


class Part(StrEnum):
    """Parts of a model."""

    all = "all"
    encoder = "encoder"
    decoder = "decoder"


class ExportFormat(StrEnum):
    """How a part is written."""

    safetensors = "safetensors"
    torchscript = "torchscript"
    onnx = "onnx"


@_command("hiresvae export runs/monet_vae --out monet_decoder --part decoder --format torchscript")
def export(
    model: Model,
    out: Annotated[Path, typer.Option(help="Folder of the files.")],
    part: Annotated[Part, typer.Option(help="What is written.")] = Part.all,
    format: Annotated[
        ExportFormat, typer.Option(help="onnx needs the extra of that name.")
    ] = ExportFormat.safetensors,
    device: Device = None,
) -> None:
    """Write a model or a part of it for use elsewhere.

    Parts take and give float32 in [-1, 1]; what was written is run again and checked to give the
    same to 1e-5. Of onnx that needs onnxruntime; where it is not, it is said.
    """
    from hiresvae.commands.export import run

    run(model=model, out=out, part=part.value, format=format.value, device=device)


@_command("hiresvae anomaly runs/monet_vae pictures --out scores.csv --heatmaps heat")
def anomaly(
    model: Model,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Pictures or folders.")],
    out: Annotated[Path, typer.Option(help="CSV file of the scores.")],
    heatmaps: Annotated[
        Path | None, typer.Option(help="Folder of pictures that show what is unusual.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Folder of usual pictures; those held out unless told.")
    ] = None,
    quantile: Annotated[
        float, typer.Option(help="Share of usual pictures below the threshold.")
    ] = 0.95,
    by: Annotated[
        str,
        typer.Option(
            help="score (bits less complexity), typical (all figures beside usual ones, too plain "
            "is unusual too), bits, error, or error_top_K (of a ladder's top K)."
        ),
    ] = "score",
    draws: Annotated[int, typer.Option(min=1, help="Of the posterior, for each picture.")] = 8,
    seed: Seed = 0,
    device: Device = None,
) -> None:
    """Tell how unlike the training data pictures are.

    The bits of the importance weighted bound on the likelihood, less what a lossless compressor
    needs, held against a quantile of held-out pictures. An autoencoder has --by error alone.
    """
    from hiresvae.commands.anomaly import run

    run(
        model=model, paths=paths, out=out, heatmaps=heatmaps, reference=reference,
        quantile=quantile, by=by, draws=draws, seed=seed, device=device,
    )  # fmt: skip


@_command("hiresvae restore runs/documents scan.png --out clean")
def restore(
    model: Model,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Pictures or folders.")],
    out: Annotated[Path, typer.Option(help="Folder of the result.")] = Path("restored"),
    mask: Annotated[
        Path | None,
        typer.Option(help="Picture that is white where to fill in; scaled to those of its shape."),
    ] = None,
    resize: Annotated[
        bool, typer.Option("--resize", help="Bring to the model's size; else work in tiles.")
    ] = False,
    answers: Annotated[
        int,
        typer.Option(
            min=1,
            help="Different answers: their mean is taken; of a model without noise the first.",
        ),
    ] = 4,
    rounds: Annotated[
        int, typer.Option(min=0, help="Of decoding and putting back what is known.")
    ] = 20,
    steps: Annotated[
        int, typer.Option(min=0, help="Of searching for better latents; slow, often better.")
    ] = 0,
    seed: Seed = 0,
    device: Device = None,
) -> None:
    """Take noise, stains or holes out of pictures.

    Larger pictures are worked on in overlapping tiles without seams; NAME_uncertainty.png shows
    where the answers differ. What fills a hole is their mean, and each is in NAME_answer_K.png. A
    model without noise (model.stochastic false) has one answer: there the others are what it makes
    where tiles begin elsewhere.
    """
    from hiresvae.commands.restore import run

    run(
        model=model, paths=paths, out=out, mask=mask, resize=resize, answers=answers,
        rounds=rounds, steps=steps, seed=seed, device=device,
    )  # fmt: skip


@_command("hiresvae compare runs/monet_vae runs/monet_cvaegan --out comparison")
def compare(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL MODEL...", help="Two or more, trained on the same pictures."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of report.html and report.json.")],
    samples: Annotated[int, typer.Option(min=8, help="Pictures drawn for the figures.")] = 1000,
    features: Annotated[
        str, typer.Option(help="auto, none, or a TorchScript file of a feature network.")
    ] = "auto",
    metrics: Annotated[str, typer.Option(help="As in hiresvae evaluate.")] = "all",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Evaluate anew what an earlier comparison measured.")
    ] = False,
    seed: Seed = 0,
    device: Device = None,
) -> None:
    """Show which model is better, and at what.

    One page without scripts or requests: figures with intervals, the same pictures reconstructed,
    samples of the same noise, spectra, curves, nearest training pictures, settings that differ.
    """
    from hiresvae.commands.compare import run

    run(
        models=models, out=out, samples=samples, features=features, metrics=metrics, fresh=fresh,
        seed=seed, device=device,
    )  # fmt: skip
