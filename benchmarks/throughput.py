"""Images a second of training and of sampling, by side: ours, a plain loop, other packages.

A step is split into its phases as `step.py` splits it. The machine's peak is that of a convolution
of 128 channels and of a large matrix product.

For a configuration, a side and a task, all are measured in turn, and then again: in each round the
machine's peak, ours, the plain loop and every other package. So a machine that is busy with
something else is so for all. Figures are those of the median round; how many times as fast as
another ours is, and the share of the peak, are medians of what each round says. Starting up is not
timed.

The plain loop is the same networks as textbooks train them: the memory format and optimiser that
PyTorch takes by itself, no average, the critic judging twice a step; and one picture drawn at a
time.

What the file of the figures has already is kept: the same command continues, and another
configuration or side comes beside the others.

Usage:
    python benchmarks/throughput.py configs/monet_vae.yaml configs/monet_cvaegan.yaml \
        --sides 64 --set training.batch_size=32 --python PEERS_ENV/bin/python \
        --out benchmarks/results/throughput_64.json --picture benchmarks/results/throughput.webp
"""

import contextlib
import copy
import functools
import json
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import step as phases
import torch
from clocks import Clock, Here
from command_line import parser_of
from drawing import plain_sampling, sampling
from peer_packages import PEERS
from plain_loop import CLASSES, plain_training
from rivals import RIVALS, Asked
from rounds import Contestant, in_turn
from torch import Tensor
from workers import Worker, worked

from hiresvae.cli_common import in_words
from hiresvae.configuration import load_settings
from hiresvae.devices import flushing_denormals, shortened_products
from hiresvae.errors import UserError
from hiresvae.held_memory import hold_memory
from hiresvae.run import write_json
from hiresvae.settings import Settings
from hiresvae.training.trainer import build

SIDES = [64, 128, 256, 512, 1024]
PIXELS = 32 * 64 * 64
"""Most pixels of a batch unless told; never fewer than two pictures."""
OURS, PLAIN = "hiresvae", "plain loop"


@in_words()
def main() -> None:
    """Measures, prints and writes."""
    parser = parser_of(__doc__)
    parser.add_argument("configs", nargs="+", type=Path)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--pixels", type=int, default=PIXELS, help="most pixels of a batch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3, help="most steps of a turn in a round")
    parser.add_argument(
        "--seconds", type=float, default=5, help="a turn that took as long repeats no more"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--denormals", action="store_true", help="let numbers be too small to be normal ones"
    )
    parser.add_argument("--python", help="interpreter of the other packages' environment")
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the figures")
    parser.add_argument("--picture", type=Path, help="plot of seconds an image against pixels")
    chosen = parser.parse_args()
    absent = not_measured(chosen.python, chosen.device)
    present = [name for name in RIVALS if name not in absent]
    # As in a training after its first figures; the plain loop, in the same process, has it too.
    held = chosen.device == "cpu" and hold_memory()
    report: dict[str, Any] = {
        "machine": machine(chosen.device) | {"memory_held": held, "denormals": chosen.denormals},
        "unit": "seconds of the median round; memory in MiB of the worst step: networks, "
        "gradients, moments and all; shares of the peak measured in the same round",
        "rounds": chosen.rounds,
        "repeats": chosen.repeats,
        "set": chosen.set,
        "pixels": chosen.pixels,
    }
    report["rows"] = kept(chosen.out, report)
    done = {row.get("who") for row in report["rows"]}
    report["not_measured"] = {name: why for name, why in absent.items() if name not in done}
    plan = Plan(
        chosen.set, chosen.pixels, chosen.rounds, chosen.repeats, chosen.seconds, chosen.device,
        present, chosen.python,
    )  # fmt: skip
    asked = [(config, side) for config in chosen.configs for side in sorted(chosen.sides)]
    known = {(row["config"], row["side"]) for row in report["rows"]}
    with contextlib.nullcontext() if chosen.denormals else flushing_denormals():
        for config, side in (one for one in asked if (one[0].stem, one[1]) not in known):
            rows = measured(config, side, plan)
            for row in rows:
                print(words(row), flush=True)
            report["rows"] += rows
            write_json(chosen.out, report)  # the large sides take long: what is known is kept
    for why in report["not_measured"].values():
        print(why)
    if chosen.picture:
        draw(report["rows"], chosen.picture)


def kept(file: Path, report: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the rows that a file of figures has.

    Raises:
        UserError: they were not measured as these are to be, or the file holds no such rows.
    """
    if not file.is_file():
        return []
    other = "nearest valid: another --out, or this one moved away"
    try:
        old = json.loads(file.read_text(encoding="utf-8"))
        rows = list(old["rows"])
    except (ValueError, KeyError, TypeError):
        raise UserError(f"--out {file} holds no figures of such a measurement; {other}") from None
    for name in ("machine", "rounds", "repeats", "set", "pixels"):
        if old.get(name) != report[name]:
            raise UserError(
                f"--out {file} holds figures of another measurement ({name} {old.get(name)!r}, "
                f"not {report[name]!r}); {other}"
            )
    return rows


def machine(device: str) -> dict[str, Any]:
    """Returns what the figures depend on."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.machine()
    return {
        "device": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


@dataclass(frozen=True)
class Plan:
    """How everything is measured.

    Attributes:
        overrides: of the settings, as of ``--set``.
        pixels: most of a batch.
        rounds: in which each takes its turn.
        repeats: in a turn.
        seconds: after which a turn repeats no more.
        device: where.
        present: rivals that can be measured.
        python: interpreter of their environment; None: this one.
    """

    overrides: Sequence[str]
    pixels: int
    rounds: int
    repeats: int
    seconds: float
    device: str
    present: Sequence[str] = ()
    python: str | None = None


def measured(config: Path, side: int, plan: Plan) -> list[dict[str, Any]]:
    """Returns the rows of a configuration at a side; what cannot be has a reason in its row."""
    head: dict[str, Any] = {"config": config.stem, "side": side}
    try:
        batch = load_settings(config, plan.overrides).training.batch_size
        batch = max(2, min(batch, plan.pixels // side**2))
        own = [f"data.size={side}", f"training.batch_size={batch}", "training.accumulation=1"]
        settings = load_settings(config, [*plan.overrides, *own])
    except UserError as error:
        return [head | {"reason": str(error)}]
    rows = []
    half = settings.training.precision == "bf16"
    with contextlib.ExitStack() as stack:
        rivals = {name: _rival(name, settings, plan, stack) for name in plan.present}
        for task, ours, plain in (
            ("training", phases.training, plain_training),
            ("sampling", sampling, plain_sampling),
        ):
            contestants: dict[str, Contestant] = {
                name: Here(
                    functools.partial(prepare, settings, plan.device),
                    plan.device, plan.repeats, plan.seconds,
                )
                for name, prepare in ((OURS, ours), (PLAIN, plain))
            }  # fmt: skip
            contestants |= {name: rival(task) for name, rival in rivals.items()}
            found = in_turn(contestants, plan.rounds, lambda: peak(plan.device, half=half))
            rows += [head | {"who": who, "task": task} | row for who, row in found.items()]
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


@dataclass
class Elsewhere:
    """A task of a rival in its own environment.

    Attributes:
        worker: that measures it.
        task: training, or sampling.
    """

    worker: Worker
    task: str

    def ready(self) -> dict[str, Any]:
        """Returns what is counted, or why it cannot be."""
        return self.worker.ask({"task": self.task, "do": "ready"})

    def turn(self) -> dict[str, Any]:
        """Returns seconds of a batch by phase."""
        return self.worker.ask({"task": self.task, "do": "turn"})


@dataclass
class Refused:
    """What is not tried at all.

    Attributes:
        reason: why.
    """

    reason: str

    def ready(self) -> dict[str, Any]:
        """Returns why."""
        return {"reason": self.reason}

    turn = ready


def _rival(
    name: str, settings: Settings, plan: Plan, stack: contextlib.ExitStack
) -> Callable[[str], Contestant]:
    """Returns what makes, of a task, a rival of as many parameters as our VAE.

    Its process ends with the stack.
    """
    rival, side = RIVALS[name], settings.data.size
    reason = rival.refuses(side)
    if reason is not None:
        return lambda task: Refused(reason)
    with torch.device("meta"):
        ours, _ = build(settings, 3, CLASSES if settings.model.conditional else 0)
    count = sum(p.numel() for p in ours.parameters())
    training = settings.training
    asked = Asked(
        side, training.batch_size, count, training.lr, plan.repeats, plan.seconds, plan.device
    )
    if plan.python is None:
        return lambda task: rival.contestant(task, asked)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    words = [name, f"--asked={json.dumps(asdict(asked))}", f"--out={folder}"]
    worker = Worker(plan.python, "rivals.py", words, folder, plan.device)
    stack.callback(worker.close)
    return lambda task: Elsewhere(worker, task)


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


def words(row: dict[str, Any]) -> str:
    """Returns a row as a line for people."""
    head = f"{row['config']:20s} {row['side']:5d} px {row.get('task', ''):9s} "
    head += f"{row.get('who', ''):24s}"
    if "reason" in row:
        return f"{head} {row['reason']}"
    share = row.get("share_of_convolution_bf16", row["share_of_convolution"])
    memory = row["peak_memory_mib"]
    told = (
        f"{head} {row['images_per_second']:9.2f} images/s "
        f"{'-' if memory is None else f'{memory:.0f}':>8s} MiB {100 * share:5.1f} % of the peak"
    )
    if "ours_times_as_fast" in row:
        told += f", ours {row['ours_times_as_fast']:.2f} times as fast"
    return f"{told} ({row['note']})" if "note" in row else told


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Writes seconds an image against pixels, both logarithmic: training beside sampling."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((11, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    plots = figure.subplots(1, 2, sharex=True)
    known = [row for row in rows if "seconds_an_image" in row]
    names = list(dict.fromkeys((row["config"], row["who"]) for row in known))
    configs = list(dict.fromkeys(config for config, _ in names))
    rivals = list(dict.fromkeys(who for _, who in names if who not in (OURS, PLAIN)))
    sides = sorted({row["side"] for row in known})
    for plot, task in zip(plots, ("training", "sampling"), strict=True):
        for config, who in names:
            mine = [
                (row["side"] ** 2, row["seconds_an_image"])
                for row in known
                if (row["config"], row["who"], row["task"]) == (config, who, task)
            ]
            ours = who not in rivals
            color = configs.index(config) if ours else len(configs) + rivals.index(who)
            plot.plot(
                *zip(*sorted(mine), strict=True) if mine else ([], []),
                color=f"C{color % 10}",
                linestyle="-" if who == OURS else "--" if who == PLAIN else ":",
                marker="o" if who == OURS else "s" if who == PLAIN else "^Dv<>"[color % 5],
                label=f"{config}, {who}" if ours or len(configs) == 1 else f"{who} (as {config})",
            )
        plot.set(xscale="log", yscale="log", title=task, ylabel="seconds an image")
        plot.set_xticks([side**2 for side in sides], [f"{side} px" for side in sides])
        plot.minorticks_off()
        plot.grid(alpha=0.3)
    figure.legend(*plots[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
