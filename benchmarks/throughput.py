"""Images a second of training and of sampling, by side: ours, a plain loop, other packages.

A step is split into its phases as `step.py` splits it. The machine's peak is that of a convolution
of 128 channels and of a large matrix product, measured in turn before each row, so that a machine
that is busy with something else is seen to be.

The plain loop is the same networks as textbooks train them: the memory format and optimiser that
PyTorch takes by itself, no average, the critic judging twice a step; and one picture drawn at a
time.

Usage:
    python benchmarks/throughput.py configs/monet_vae.yaml configs/monet_cvaegan.yaml \
        --python ../peers/bin/python \
        --out benchmarks/results/throughput.json --picture benchmarks/results/throughput.webp
"""

import copy
import json
import math
import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import step as phases
import torch
from clocks import Clock, Operations, alone, device_memory, figures_of
from command_line import parser_of
from peer_packages import PEERS
from plain_loop import CLASSES, plain_step
from rivals import FIGURES, RIVALS, Asked
from torch import Tensor
from workers import worked

from hiresvae.blocks.layers import channels_last
from hiresvae.configuration import load_settings
from hiresvae.devices import shortened_products
from hiresvae.errors import UserError, is_out_of_memory
from hiresvae.generator import PictureModel
from hiresvae.images import to_uint8
from hiresvae.models.draws import FromPrior
from hiresvae.priors import Density
from hiresvae.run import write_json
from hiresvae.seeding import picture_noise
from hiresvae.settings import Settings
from hiresvae.training.footprint import footprint
from hiresvae.training.peak import PeakMemory
from hiresvae.training.trainer import build

SIDES = [64, 128, 256, 512, 1024]
PIXELS = 32 * 64 * 64
"""Most pixels of a batch unless told; never fewer than two pictures."""
OURS, PLAIN = "hiresvae", "plain loop"


def main() -> None:
    """Measures, prints and writes."""
    parser = parser_of(__doc__)
    parser.add_argument("configs", nargs="+", type=Path)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--pixels", type=int, default=PIXELS, help="most pixels of a batch")
    parser.add_argument("--repeats", type=int, default=phases.REPEATS)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--python", help="interpreter of the other packages' environment")
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the figures")
    parser.add_argument("--picture", type=Path, help="plot of seconds an image against pixels")
    chosen = parser.parse_args()
    absent = not_measured(chosen.python, chosen.device)
    present = [name for name in RIVALS if name not in absent]
    report: dict[str, Any] = {
        "machine": machine(chosen.device),
        "unit": "seconds of medians; memory in MiB; shares of the peak measured beside each row",
        "repeats": chosen.repeats,
        "not_measured": absent,
        "rows": [],
    }
    for config in chosen.configs:
        for side in sorted(chosen.sides):
            rows = measured(
                config, side, chosen.set, chosen.pixels, chosen.repeats, chosen.device, present,
                chosen.python,
            )  # fmt: skip
            for row in rows:
                print(words(row), flush=True)
            report["rows"] += rows
            write_json(chosen.out, report)  # the large sides take long: what is known is kept
    for why in absent.values():
        print(why)
    if chosen.picture:
        draw(report["rows"], chosen.picture)


def machine(device: str) -> dict[str, Any]:
    """Returns what the figures depend on."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.machine()
    return {
        "device": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def measured(
    config: Path,
    side: int,
    overrides: Sequence[str],
    pixels: int,
    repeats: int,
    device: str,
    present: Sequence[str] = (),
    python: str | None = None,
) -> list[dict[str, Any]]:
    """Returns the rows of a configuration at a side; what cannot be has a reason in its row.

    Args:
        config: its file.
        side: of the pictures.
        overrides: as of ``--set``.
        pixels: most of a batch.
        repeats: of each measurement.
        device: where.
        present: rivals that can be measured.
        python: interpreter of their environment; None: this one.
    """
    head = {"config": config.stem, "side": side}
    try:
        batch = load_settings(config, overrides).training.batch_size
        batch = max(2, min(batch, pixels // side**2))
        own = [f"data.size={side}", f"training.batch_size={batch}", "training.accumulation=1"]
        settings = load_settings(config, [*overrides, *own])
    except UserError as error:
        return [head | {"reason": str(error)}]
    head["batch"] = batch
    tasks: list[tuple[str, str, Callable[[], dict[str, Any]]]] = [
        (OURS, "training", lambda: training(settings, repeats, device)),
        (PLAIN, "training", lambda: plain_training(settings, repeats, device)),
        (OURS, "sampling", lambda: sampling(settings, repeats, device)),
        (PLAIN, "sampling", lambda: plain_sampling(settings, repeats, device)),
    ]
    for name in present:
        for task in ("training", "sampling"):
            tasks.append((name, task, _rival(name, task, settings, repeats, device, python)))
    rows = []
    for who, task, measure in tasks:
        row = head | {"who": who, "task": task}
        try:
            highest = peak(device, half=settings.training.precision == "bf16")
            row |= measure()
            if "reason" not in row:
                row |= {"peak_operations_a_second": highest} | _shares(row, highest)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            row["reason"] = "memory ran out"
        rows.append(row)
    return rows


def peak(device: str, rounds: int = 5, *, half: bool = False) -> dict[str, float]:
    """Returns the most operations a second of two kernels, measured in turn.

    Args:
        device: where; its products are as short as a training's.
        rounds: of which the fastest counts.
        half: whether to measure them in bf16, too.
    """
    large = device.startswith("cuda")
    count, height, length = (64, 128, 8192) if large else (8, 32, 1024)
    layer = torch.nn.Conv2d(128, 128, 3, padding=1, device=device)
    layer = layer.to(memory_format=torch.channels_last)
    x = torch.randn(count, 128, height, height, device=device)
    x = x.contiguous(memory_format=torch.channels_last)
    a, b = torch.randn(2, length, length, device=device)
    work: dict[str, tuple[float, Callable[[], Tensor]]] = {
        "convolution": (2 * count * height**2 * 128**2 * 9, lambda: layer(x)),
        "product": (2 * length**3, lambda: a @ b),
    }
    if half:
        short, y, c, d = copy.deepcopy(layer).bfloat16(), *(z.bfloat16() for z in (x, a, b))
        work["convolution_bf16"] = work["convolution"][0], lambda: short(y)
        work["product_bf16"] = work["product"][0], lambda: c @ d
    clock = Clock(device)
    with torch.inference_mode(), shortened_products(torch.device(device)):
        for _ in range(rounds):
            for name, (_, run) in work.items():
                with clock(name):
                    run()
    return {name: n / min(clock.seconds[name]) for name, (n, _) in work.items()}


def training(settings: Settings, repeats: int, device: str) -> dict[str, Any]:
    """Returns the figures of a training step, by phase."""
    batch = settings.training.batch_size
    with device_memory(device) as memory:
        seconds = phases.measure(settings, Clock(device), repeats)
    if not device.startswith("cuda"):
        classes = CLASSES if settings.model.conditional else 0
        memory.append(footprint(settings, 3, classes).memory(batch) / 2**20)
    operations = phases.measure(settings, Operations(device), 1, tick=False)
    model, critic = build(settings, 3, CLASSES)
    count = sum(p.numel() for part in (model, critic) if part for p in part.parameters())
    return {"parameters": count} | figures_of(seconds, operations, memory, batch)


def plain_training(settings: Settings, repeats: int, device: str) -> dict[str, Any]:
    """Returns the figures of a plain loop's step."""
    step, count = plain_step(settings, device)
    batch = settings.training.batch_size
    return {"parameters": count} | alone("step", step, repeats, device, batch)


def painter_of(settings: Settings, device: str) -> PictureModel:
    """Returns an untrained model that draws from N(0, I)."""
    classes = CLASSES if settings.model.conditional else 0
    model, _ = build(settings, 3, classes)
    model = model.to(device).eval().requires_grad_(False)
    dim = math.prod(model.latent_shapes[0])
    prior = Density("standard", torch.zeros(1), torch.zeros(1, dim), torch.eye(dim)[None])
    names = tuple(map(str, range(classes)))
    return PictureModel(model, prior, names, (1 / CLASSES,) * classes, settings)


def sampling(settings: Settings, repeats: int, device: str) -> dict[str, Any]:
    """Returns the figures of drawing a batch, by phase."""
    batch, painter = settings.training.batch_size, painter_of(settings, device)
    channels_last(painter.model)

    @torch.inference_mode()
    def once(clock: Clock) -> None:
        numbers = list(range(batch))
        with clock("top latents"):
            labels = painter.drawn_labels(numbers)
            top = painter.latents(numbers, labels=labels)
        with clock("decoder"):
            noise = picture_noise(0, numbers, painter.device)
            walk = painter.model.walk(FromPrior(noise, 1.0, top), labels, batch, noise)
            made = painter.model.likelihood(walk.head).mean
        with clock("to bytes"):
            to_uint8(made).cpu().contiguous()

    return _painted(painter, once, repeats, device, batch)


def plain_sampling(settings: Settings, repeats: int, device: str) -> dict[str, Any]:
    """Returns the figures of drawing as many pictures one at a time."""
    batch, painter = settings.training.batch_size, painter_of(settings, device)

    def once(clock: Clock) -> None:
        with clock("pictures, one by one"):
            for number in range(batch):
                painter.sample(1, start=number)

    return _painted(painter, once, repeats, device, batch)


def _painted(
    painter: PictureModel,
    once: Callable[[Clock], None],
    repeats: int,
    device: str,
    batch: int,
) -> dict[str, Any]:
    clock, operations = Clock(device), Operations(device)
    with device_memory(device) as memory:
        for _ in range(repeats):
            once(clock)
    count = sum(p.numel() for p in painter.model.parameters())
    if not device.startswith("cuda"):
        with PeakMemory() as seen:
            once(Clock(device))
        memory.append((seen.peak + 4 * count) / 2**20)
    once(operations)
    medians = {name: statistics.median(x[2:] or x) for name, x in clock.seconds.items()}
    counted = {name: x[0] for name, x in operations.seconds.items()}
    return {"parameters": count} | figures_of(medians, counted, memory, batch)


def _rival(
    name: str, task: str, settings: Settings, repeats: int, device: str, python: str | None
) -> Callable[[], dict[str, Any]]:
    """Returns what measures another package's model of as many parameters as our VAE."""
    with torch.device("meta"):
        ours, _ = build(settings, 3, CLASSES if settings.model.conditional else 0)
    count = sum(p.numel() for p in ours.parameters())
    training, side = settings.training, settings.data.size
    asked = Asked(task, side, training.batch_size, count, training.lr, repeats, device)
    if python is None:
        return lambda: RIVALS[name].figures(asked)

    def elsewhere() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            words = [name, f"--asked={json.dumps(asdict(asked))}", f"--out={folder}"]
            reason = worked(python, "rivals.py", words, Path(folder), device)
            if reason is not None:
                return {"reason": reason}
            found: dict[str, Any] = json.loads((Path(folder) / FIGURES).read_text("utf-8"))
            return found

    return elsewhere


def not_measured(python: str | None, device: str) -> dict[str, str]:
    """Returns which other packages cannot be measured, and why.

    Args:
        python: interpreter of their environment; None: this one.
        device: where.
    """
    found = {}
    for name, rival in RIVALS.items():
        if python is None:
            reason = rival.absent()
        else:
            with tempfile.TemporaryDirectory() as folder:
                words = [name, f"--out={folder}"]
                reason = worked(python, "rivals.py", words, Path(folder), device)
        if reason is not None:
            found[name] = reason
    for peer in PEERS.values():
        if peer.needs_cuda:
            why = "its step is its trainer's own, which benchmarks/peers.py lets run"
            if not torch.cuda.is_available():
                why = "it refuses to start without CUDA"
            found[peer.install] = f"not measured: {peer.install}: {why}"
    return found


def _shares(row: dict[str, Any], highest: dict[str, float]) -> dict[str, float]:
    reached = row["operations_an_image"] * row["images_per_second"]
    return {f"share_of_{name}": round(reached / most, 4) for name, most in highest.items()}


def words(row: dict[str, Any]) -> str:
    """Returns a row as a line for people."""
    head = f"{row['config']:20s} {row['side']:5d} px {row.get('task', ''):9s} "
    head += f"{row.get('who', ''):24s}"
    if "reason" in row:
        return f"{head} {row['reason']}"
    share = row.get("share_of_convolution_bf16", row["share_of_convolution"])
    return (
        f"{head} {row['images_per_second']:9.2f} images/s {row['peak_memory_mib']:8.0f} MiB "
        f"{100 * share:5.1f} % of the peak"
    )


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Writes seconds an image against pixels, both logarithmic: training beside sampling."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((11, 5), layout="constrained")
    FigureCanvasAgg(figure)
    plots = figure.subplots(1, 2, sharex=True)
    known = [row for row in rows if "seconds_an_image" in row]
    names = list(dict.fromkeys((row["config"], row["who"]) for row in known))
    configs = list(dict.fromkeys(config for config, _ in names))
    makers = list(dict.fromkeys(who for _, who in names))
    for plot, task in zip(plots, ("training", "sampling"), strict=True):
        for config, who in names:
            mine = [
                (row["side"] ** 2, row["seconds_an_image"])
                for row in known
                if (row["config"], row["who"], row["task"]) == (config, who, task)
            ]
            plot.plot(
                *zip(*sorted(mine), strict=True) if mine else ([], []),
                color=f"C{configs.index(config) % 10}",
                linestyle=("-", "--", ":", "-.")[makers.index(who) % 4],
                marker="osv^D"[makers.index(who) % 5],
                label=f"{config}, {who}",
            )
        plot.set(xscale="log", yscale="log", title=task, xlabel="pixels", ylabel="seconds an image")
        plot.grid(alpha=0.3, which="both")
    plots[0].legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
