"""Images a second of training and of sampling, by side: ours, a plain loop, other packages.

A step is split into its phases as `step.py` splits it. The machine's peak is that of a convolution
of 128 channels and of a large matrix product, measured in turn before each row, so that a machine
that is busy with something else is seen to be.

The plain loop is the same networks as textbooks train them: the memory format and optimiser that
PyTorch takes by itself, no average, the critic judging twice a step; and one picture drawn at a
time.

Usage:
    python benchmarks/throughput.py configs/monet_vae.yaml configs/monet_cvaegan.yaml \
        --out benchmarks/results/throughput.json --picture benchmarks/results/throughput.webp
"""

import math
import os
import platform
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import step as phases
import torch
from command_line import parser_of
from plain_loop import CLASSES, plain_step
from rivals import RIVALS, Rival
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from hiresvae.blocks.layers import channels_last
from hiresvae.configuration import load_settings
from hiresvae.errors import UserError, is_out_of_memory
from hiresvae.generator import PictureModel
from hiresvae.images import to_uint8
from hiresvae.models.draws import FromPrior
from hiresvae.priors import Density
from hiresvae.run import write_json
from hiresvae.seeding import picture_noise
from hiresvae.settings import Settings
from hiresvae.training.footprint import PeakMemory, footprint
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
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the figures")
    parser.add_argument("--picture", type=Path, help="plot of seconds an image against pixels")
    chosen = parser.parse_args()
    absent = {name: why for name, rival in RIVALS.items() if (why := rival.absent())}
    report: dict[str, Any] = {
        "machine": machine(chosen.device),
        "unit": "seconds of medians; memory in MiB; shares of the peak measured beside each row",
        "repeats": chosen.repeats,
        "not_measured": absent,
        "rows": [],
    }
    for config in chosen.configs:
        for side in sorted(chosen.sides):
            rows = measured(config, side, chosen.set, chosen.pixels, chosen.repeats, chosen.device)
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
    config: Path, side: int, overrides: Sequence[str], pixels: int, repeats: int, device: str
) -> list[dict[str, Any]]:
    """Returns the rows of a configuration at a side; what cannot be has a reason in its row."""
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
    for name, rival in RIVALS.items():
        if rival.absent() is None:
            for task in ("training", "sampling"):
                tasks.append((name, task, _rival(rival, task, settings, repeats, device)))
    rows = []
    for who, task, measure in tasks:
        row = head | {"who": who, "task": task}
        try:
            highest = peak(device)
            row |= measure()
            row |= {"peak_operations_a_second": highest} | _shares(row, highest)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            row["reason"] = "memory ran out"
        rows.append(row)
    return rows


def peak(device: str, rounds: int = 5) -> dict[str, float]:
    """Returns the most operations a second of two kernels, measured in turn."""
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
    clock = phases.Clock(device)
    with torch.inference_mode():
        for _ in range(rounds):
            for name, (_, run) in work.items():
                with clock(name):
                    run()
    return {name: n / min(clock.seconds[name]) for name, (n, _) in work.items()}


class Operations(phases.Clock):
    """Counts floating-point operations by name in place of seconds."""

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Counts what runs inside."""
        with FlopCounterMode(display=False) as counter:
            yield
        self.seconds.setdefault(name, []).append(float(counter.get_total_flops()))


def training(settings: Settings, repeats: int, device: str) -> dict[str, Any]:
    """Returns the figures of a training step, by phase."""
    batch = settings.training.batch_size
    with _memory(device) as memory:
        seconds = phases.measure(settings, phases.Clock(device), repeats)
    if not device.startswith("cuda"):
        classes = CLASSES if settings.model.conditional else 0
        memory.append(footprint(settings, 3, classes).memory(batch) / 2**20)
    operations = phases.measure(settings, Operations(device), 1, tick=False)
    model, critic = build(settings, 3, CLASSES)
    count = sum(p.numel() for part in (model, critic) if part for p in part.parameters())
    return {"parameters": count} | _figures(seconds, operations, memory, batch)


def plain_training(settings: Settings, repeats: int, device: str) -> dict[str, Any]:
    """Returns the figures of a plain loop's step."""
    step, count = plain_step(settings, device)
    batch = settings.training.batch_size
    return {"parameters": count} | _alone("step", step, repeats, device, batch)


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
    def once(clock: phases.Clock) -> None:
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

    def once(clock: phases.Clock) -> None:
        with clock("pictures, one by one"):
            for number in range(batch):
                painter.sample(1, start=number)

    return _painted(painter, once, repeats, device, batch)


def _painted(
    painter: PictureModel,
    once: Callable[[phases.Clock], None],
    repeats: int,
    device: str,
    batch: int,
) -> dict[str, Any]:
    clock, operations = phases.Clock(device), Operations(device)
    with _memory(device) as memory:
        for _ in range(repeats):
            once(clock)
    count = sum(p.numel() for p in painter.model.parameters())
    if not device.startswith("cuda"):
        with PeakMemory() as seen:
            once(phases.Clock(device))
        memory.append((seen.peak + 4 * count) / 2**20)
    once(operations)
    medians = {name: statistics.median(x[2:] or x) for name, x in clock.seconds.items()}
    counted = {name: x[0] for name, x in operations.seconds.items()}
    return {"parameters": count} | _figures(medians, counted, memory, batch)


def _rival(
    rival: Rival, task: str, settings: Settings, repeats: int, device: str
) -> Callable[[], dict[str, Any]]:
    def measure() -> dict[str, Any]:
        return rival_figures(rival, task, settings, repeats, device)

    return measure


def rival_figures(
    rival: Rival, task: str, settings: Settings, repeats: int, device: str
) -> dict[str, Any]:
    """Returns the figures of another package's model of as many parameters as our VAE."""
    batch, side = settings.training.batch_size, settings.data.size
    with torch.device("meta"):
        ours, _ = build(settings, 3, CLASSES if settings.model.conditional else 0)
    network, count = rival.of_size(side, sum(p.numel() for p in ours.parameters()))
    network = network.to(device)
    optimizer = torch.optim.Adam(network.parameters(), settings.training.lr)
    pictures = torch.rand(4 * batch, 3, side, side) * 2 - 1

    def train(_: int) -> None:
        images = pictures[torch.randint(0, len(pictures), (batch,))].to(device)
        rival.loss(network, images).backward()
        optimizer.step()
        optimizer.zero_grad()

    @torch.no_grad()
    def sample(_: int) -> None:
        rival.draw(network.eval(), batch, side).cpu()

    run = train if task == "training" else sample
    return {"parameters": count} | _alone(task, run, repeats, device, batch)


def _alone(
    name: str, run: Callable[[int], None], repeats: int, device: str, batch: int
) -> dict[str, Any]:
    """Returns the figures of something without phases."""
    clock, operations = phases.Clock(device), Operations(device)
    with _memory(device) as memory:
        for number in range(repeats):
            with clock(name):
                run(number)
    if not device.startswith("cuda"):
        with PeakMemory() as seen:
            run(0)
        memory.append(seen.peak / 2**20)
    with operations(name):
        run(1)
    seconds = statistics.median(clock.seconds[name][2:] or clock.seconds[name])
    return _figures({name: seconds}, {name: operations.seconds[name][0]}, memory, batch)


@contextmanager
def _memory(device: str) -> Iterator[list[float]]:
    """Gives a list that has the device's peak in MiB afterwards; empty on a processor."""
    found: list[float] = []
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    yield found
    if device.startswith("cuda"):
        found.append(torch.cuda.max_memory_allocated(device) / 2**20)


def _figures(
    seconds: dict[str, float], operations: dict[str, float], memory: list[float], batch: int
) -> dict[str, Any]:
    total = sum(seconds.values())
    return {
        "seconds_an_image": total / batch,
        "images_per_second": batch / total,
        "peak_memory_mib": round(memory[0], 1),
        "operations_an_image": sum(operations.values()) / batch,
        "phases": {
            name: {"seconds": value, "operations_a_second": operations.get(name, 0.0) / value}
            for name, value in seconds.items()
            if value > 0
        },
    }


def _shares(row: dict[str, Any], highest: dict[str, float]) -> dict[str, float]:
    reached = row["operations_an_image"] * row["images_per_second"]
    return {f"share_of_{name}": round(reached / most, 4) for name, most in highest.items()}


def words(row: dict[str, Any]) -> str:
    """Returns a row as a line for people."""
    head = f"{row['config']:20s} {row['side']:5d} px {row.get('task', ''):9s} "
    head += f"{row.get('who', ''):24s}"
    if "reason" in row:
        return f"{head} {row['reason']}"
    return (
        f"{head} {row['images_per_second']:9.2f} images/s {row['peak_memory_mib']:8.0f} MiB "
        f"{100 * row['share_of_convolution']:5.1f} % of the peak"
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
