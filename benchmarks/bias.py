"""What few pictures do to FID: the same real pictures, the same samples, and more and more of them.

Real pictures beside as many other real ones ought to be at 0 whatever their number: FID is not, KID
is. Samples of a model beside all real pictures are nearer the more of them are drawn: that is no
better model. What FID would be of endlessly many samples is extrapolated where there are enough.

Usage:
    python benchmarks/bias.py runs/faces_cvaegan --samples 4096 --out bias.json --picture bias.webp
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from command_line import parser_of

import hiresvae
from hiresvae.cli_common import in_words
from hiresvae.errors import UserError
from hiresvae.metrics.features import load_network
from hiresvae.metrics.frechet import fid_infinity, frechet_distance, least_for_infinity, moments
from hiresvae.metrics.kernel import kernel_distance
from hiresvae.run import write_json
from hiresvae.seeding import generator
from hiresvae.uses.feature_figures import network_words
from hiresvae.uses.groups import features_of, real_features
from hiresvae.uses.reals import MOST_REALS, Reals

FEWEST = 64
DRAWS = 3
"""Times that so many pictures are drawn from those that there are, the next ones each time."""

Distance = Callable[[np.ndarray, np.ndarray], float]


def numbers(most: int) -> list[int]:
    """Returns how many pictures are compared: doubled from `FEWEST`, and the most at the end.

    Example:
        >>> numbers(300)
        [64, 128, 256, 300]
    """
    found = [FEWEST * 2**i for i in range(64) if FEWEST * 2**i < most]
    return [*found, most]


def among(real: np.ndarray, distance: Distance, seed: int) -> dict[int, list[float]]:
    """Returns distances of real features ``(N, D)`` from as many others, by their number."""
    found: dict[int, list[float]] = {}
    for count in numbers(len(real) // 2):
        draws = min(DRAWS, len(real) // (2 * count))
        order = torch.randperm(len(real), generator=generator(seed, "bias", count)).numpy()
        parts = real[order[: 2 * count * draws]].reshape(draws, 2, count, -1)
        found[count] = [distance(one, two) for one, two in parts]
    return found


def beside(made: np.ndarray, real: np.ndarray, distance: Distance) -> dict[int, list[float]]:
    """Returns distances of the first samples' features from all real ones, by their number."""
    return {count: [distance(made[:count], real)] for count in numbers(len(made))}


def draw(report: dict[str, Any], path: Path) -> None:
    """Writes both distances against the number of pictures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for plot, word in zip(figure.subplots(1, 2), report["words"], strict=True):
        for who, told in report["distances"][word].items():
            means = [float(np.mean(values)) for values in told.values()]
            plot.plot([int(count) for count in told], means, marker="o", label=who)
        if word == report["words"][0] and report["infinity"] is not None:
            label = "samples, extrapolated to endlessly many"
            plot.axhline(report["infinity"], color="C1", linestyle=":", label=label)
        plot.set(xscale="log", title=word.upper(), xlabel="pictures", ylabel="lower is better")
        plot.set_ylim(bottom=min(0, plot.get_ylim()[0]))
        plot.grid(alpha=0.3, which="both")
        plot.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


@in_words()
def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints and writes the distances."""
    parser = parser_of(__doc__)
    parser.add_argument("run")
    parser.add_argument("--samples", type=int, default=4096)
    parser.add_argument("--features", default="auto", help="auto, or a TorchScript file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True, help="JSON")
    parser.add_argument("--picture", type=Path, help="plot of both distances")
    asked = parser.parse_args(words)
    model = hiresvae.load(asked.run, device=asked.device)
    network = load_network(asked.features, asked.device)
    pictures = Reals.of(model.data(), model.settings.data.size, MOST_REALS).train
    if min(len(pictures) // 2, asked.samples) < FEWEST:
        raise UserError(
            f"{len(pictures)} training pictures and {asked.samples} samples are too few to show "
            f"what their number does; nearest valid: {2 * FEWEST} and {FEWEST}"
        )
    real = real_features(pictures, network)
    made = torch.cat(list(model.sample_batches(asked.samples, seed=asked.seed)))
    fake = features_of(made, network)
    names, known = network_words(network), moments(real)
    distances: dict[str, dict[str, dict[int, list[float]]]] = {}
    for word, distance in zip(names, (frechet_distance, kernel_distance), strict=True):
        distances[word] = {
            "real pictures from as many others": among(real, distance, asked.seed),
            f"samples from {len(real):,} real pictures": beside(fake, real, distance),
        }
    enough = len(fake) >= least_for_infinity(fake.shape[1])
    report: dict[str, Any] = {
        "run": asked.run,
        "seed": asked.seed,
        "features": network.to_json(),
        "words": names,
        "distances": distances,
        "infinity": fid_infinity(fake, known, seed=asked.seed) if enough else None,
    }
    write_json(asked.out, report)
    for word, by_whom in distances.items():
        for who, told in by_whom.items():
            shown = (f"{count:,}: {np.mean(values):.4g}" for count, values in told.items())
            print(f"{word} of {who}: {', '.join(shown)}")
    if enough:
        print(f"{names[0]} of endlessly many samples: {report['infinity']:.4g}")
    if asked.picture:
        draw(report, asked.picture)


if __name__ == "__main__":
    sys.exit(main())
