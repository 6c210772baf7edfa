"""What the tables of the README show: the rows of each, and the evaluations of its columns."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """One figure of a table.

    Attributes:
        words: what it is, for the first column.
        figure: its name in the evaluations.
        digits: how a number is written, as after the colon of an f-string.
        unit: after the value.
        real: last column: what real pictures have, or the name of the figure that tells it.
    """

    words: str
    figure: str
    digits: str
    unit: str = ""
    real: str = ""


class Table(NamedTuple):
    """A table and where its figures come from.

    Attributes:
        title: head of the first column.
        columns: head of each model's column and its evaluation, below ``benchmarks/results``: a
            file, or ``FILE:VARIANT`` of several that one file holds.
        rows: a figure that no evaluation has is left out.
        intervals: whether they are shown; of many columns they are not.
        judged: whether the better one is marked. Intervals are of pictures: of trainings that
            differ by chance they would mark the luckiest.
    """

    title: str
    columns: dict[str, str]
    rows: list[Row]
    intervals: bool = True
    judged: bool = True


SHARPNESS = Row(
    "sharpness of samples (Laplacian variance over that of held-out pictures)",
    "sharpness_ratio_samples", "#.2g", real="1",
)  # fmt: skip
SPECTRUM = Row(
    "power spectrum of samples, distance from real", "spectrum_distance_samples", ".1f", " dB", "0"
)
PSNR = Row("PSNR of reconstructions of held-out pictures", "psnr_reconstructions", ".1f", " dB")
PATCHES = Row(
    "patches of samples, sliced Wasserstein distance", "swd_samples", ".0f", real="floor_swd_train"
)
SHARP_COPIES = Row(
    "sharpness of reconstructions", "sharpness_ratio_reconstructions", "#.2g", real="1"
)
PAIR = [
    SHARPNESS,
    SPECTRUM,
    Row("FID of samples", "gfid_fitted", ".0f", real="floor_fid"),
    Row("KID of samples", "gkid_fitted", "z.3f", real="floor_kid"),
    Row("FID of samples of N(0, I)", "gfid_standard", ".0f", real="floor_fid"),
    Row("FID of reconstructions", "rfid", ".0f"),
    Row("KID of reconstructions", "rkid", "z.3f"),
    Row("LPIPS of reconstructions of held-out pictures", "lpips_reconstructions", "#.2g", real="0"),
    PSNR,
]
WORST_RING = Row(
    "power of samples at the worst frequency up to 3/4 Nyquist, off by",
    "spectrum_worst_samples", ".0%", real="0",
)  # fmt: skip
# Held-out pictures are few: chance alone puts some frequency of theirs 10% off.
WORST_RING_OF_MANY = Row(
    "the same beside training pictures, which are more",
    "spectrum_worst_train_samples", ".0%", real="floor_spectrum_worst_train",
)  # fmt: skip

COVERING = [
    Row(
        "precision: samples that look like some real picture",
        "precision_fitted",
        ".2f",
        real="floor_precision",
    ),
    Row(
        "recall: real pictures that look like some sample",
        "recall_fitted",
        ".2f",
        real="floor_recall",
    ),
]
APART = [
    Row(
        "variety within a label, by features, over that of real pictures",
        "diversity_within_classes_fitted", ".2f", real="1",
    ),
    Row(
        "distance to the nearest training picture over that of held-out pictures",
        "nearest_pixels_ratio_samples", ".2f", real="1",
    ),
]  # fmt: skip


DRAWN_SECONDS = {"cvaegan": 15_528, "ladder": 15_880, "vae": 40_408}
"""Images in the seconds of the hybrid's 12,000, by the speeds of a quiet core."""
CLOTHES_SECONDS = {"cvaegan": 31_056, "ladder": 31_760, "vae": 80_816}
"""The same of the hybrid's 24,000."""
FOUR = {
    "ladder with adversary": "hybrid",
    "with adversary": "cvaegan",
    "ladder": "ladder",
    "plain VAE": "vae",
}


def small(
    title: str, folder: str, images: int, rows: Sequence[Row], seconds: int | None = None
) -> Table:
    """Returns the table of a benchmark of small pictures.

    Args:
        title: head of the first column.
        folder: of the evaluations, before ``_minutes``.
        images: seen by both models.
        rows: the last ones.
        seconds: images that the plain VAE sees in the seconds of the other, for a column more.
    """
    columns = {
        "with adversary": f"cvaegan-equal_images-{images}",
        "plain VAE": f"vae-equal_images-{images}",
    }
    if seconds is not None:
        columns["plain VAE, equal seconds"] = f"vae-equal_seconds-{seconds}"
    return Table(
        title,
        {head: f"{folder}_minutes/{name}-seed0.json" for head, name in columns.items()},
        [SHARPNESS, SPECTRUM, WORST_RING, WORST_RING_OF_MANY, PATCHES, *PAIR[2:], *rows],
    )


def four(title: str, folder: str, images: int, seconds: Mapping[str, int] | None = None) -> Table:
    """Returns the table of all four models of a benchmark of small pictures.

    Args:
        title: head of the first column.
        folder: of the evaluations, before ``_minutes``.
        images: seen by all models.
        seconds: images that each saw in the same seconds, instead; none: as at equal images.
    """
    columns = {}
    for head, who in FOUR.items():
        seen = (seconds or {}).get(who)
        name = f"equal_images-{images}" if seen is None else f"equal_seconds-{seen}"
        columns[head] = f"{folder}_minutes/{who}-{name}-seed0.json"
    samples, copies = PAIR[2:5], PAIR[5:]
    rows = [*PAIR[:2], PATCHES, *samples, SHARP_COPIES, *copies, *COVERING]
    return Table(title, columns, rows)


def _seeds(images: int, numbers: Sequence[int], *heads: str) -> Table:
    files = {
        f"{head}, seed {number}": f"{FOUR[head]}-equal_images-{images}-seed{number}.json"
        for head in heads
        for number in numbers
    }
    return Table(
        "Monet, 32 px",
        {head: f"monet_32_minutes/{file}" for head, file in files.items()},
        [SHARPNESS, WORST_RING, WORST_RING_OF_MANY, PATCHES, PAIR[2], PAIR[3], PAIR[6], PSNR],
        intervals=False,
        judged=False,
    )


def _ablation(images: int, *without: str) -> Table:
    folder = "monet_32_minutes_cvaegan"
    return Table(
        f"Monet, 32 px, {images:,} images",
        {
            title: f"{folder}/{title.replace(' ', '_')}-{images}-seed0.json"
            for title in ("everything", *without)
        },
        [SHARPNESS, WORST_RING, PATCHES, PAIR[2], PAIR[3], PAIR[6], PAIR[7], PSNR],
        intervals=False,
    )


CONTESTANTS = {
    "CVAE-GAN": "monet_cvaegan",
    "pythae VAE": "pythae_vae",
    "pythae VAEGAN": "pythae_vaegan",
    "denoising-diffusion": "denoising_diffusion",
    "diffusers AutoencoderKL": "diffusers_autoencoder",
}


def peers(title: str, folder: str, mark: int, columns: Mapping[str, str]) -> Table:
    """Returns the table of a contest with other packages after so many seconds."""
    return Table(
        title,
        {head: f"{folder}/{who}-{mark}.json" for head, who in columns.items()},
        [
            Row("FID of samples", "gfid_samples", ".0f"),
            Row("KID of samples", "gkid_samples", "z.3f", real="0"),
            Row("precision", "precision_samples", ".2f"),
            Row("recall", "recall_samples", ".2f"),
            Row("patches, sliced Wasserstein distance", "swd_samples", ".0f"),
            Row("sharpness (ratio)", "sharpness_ratio_samples", "#.2g", real="1"),
            Row("power spectrum, distance from real", "spectrum_distance_samples", ".1f", " dB",
                real="0"),
            Row("diversity in pixels (ratio)", "diversity_pixels_samples", ".2f", real="1"),
        ],
        intervals=False,
    )  # fmt: skip


TABLES = {
    "quickstart": Table(
        "drawn paintings, 32 px",
        {"with adversary": "quickstart.json", "plain VAE": "quickstart_vae.json"},
        [
            SHARPNESS,
            SHARP_COPIES,
            SPECTRUM,
            PSNR,
        ],
    ),
    "tricks": Table(
        "faces, 64 px",
        {
            "plain VAE": "tricks.json:plain VAE",
            "unsharp mask": "tricks.json:unsharp mask",
            "white noise": "tricks.json:white noise",
            "missing noise": "tricks.json:missing noise",
            "with adversary": "tricks.json:with adversary",
        },
        [
            Row(words, figure, digits, unit, f"floor_{figure}")
            for words, figure, digits, unit in (
                ("sharpness (Laplacian variance, ratio)", "sharpness_ratio_samples", "#.2g", ""),
                ("steepness of edges, ratio", "acutance_ratio_samples", ".2f", ""),
                ("diversity in pixels, ratio", "diversity_pixels_samples", ".2f", ""),
                ("power spectrum, distance", "spectrum_distance_samples", ".1f", " dB"),
                ("patches, sliced Wasserstein distance", "swd_samples", ".0f", ""),
                ("textures, kernel distance", "textures_samples", ".2f", ""),
                ("FID", "gfid_fitted", ".0f", ""),
                ("KID", "gkid_fitted", "z.3f", ""),
                ("precision", "precision_fitted", ".2f", ""),
                ("recall", "recall_fitted", ".2f", ""),
                ("coverage", "coverage_fitted", ".2f", ""),
            )
        ],
        intervals=False,
    ),
    "monet": small(
        "Monet, 64 px", "monet_64", 80_000, [*COVERING, APART[1]], seconds=192_832
    ),
    "monet_32": four("Monet, 32 px", "monet_32", 48_000),
    "monet_32_seeds": _seeds(
        48_000, (0, 1, 2), "ladder with adversary", "with adversary", "plain VAE"
    ),
    "monet_32_seconds": four(
        "Monet, 32 px, equal seconds",
        "monet_32",
        48_000,
        {"hybrid": 65_336, "cvaegan": 84_872, "ladder": 86_712, "vae": 221_464},
    ),
    "lfw_32_four": four("faces, 32 px", "lfw_32", 48_000),
    "lfw_32_seconds": four(
        "faces, 32 px, equal seconds",
        "lfw_32",
        48_000,
        {"cvaegan": 65_880, "ladder": 67_312, "vae": 171_912},
    ),
    "fashion_32_four": four("clothes, 32 px", "fashion_mnist_32", 24_000),
    "fashion_32_seconds": four(
        "clothes, 32 px, equal seconds", "fashion_mnist_32", 24_000, CLOTHES_SECONDS
    ),
    "paintings_drawn_four": four("drawn paintings, 32 px", "embedded_paintings_32", 12_000),
    "paintings_drawn_seconds": four(
        "drawn paintings, 32 px, equal seconds",
        "embedded_paintings_32",
        12_000,
        DRAWN_SECONDS,
    ),
    "faces_drawn_four": four("drawn portraits, 32 px", "embedded_faces_32", 12_000),
    "faces_drawn_seconds": four(
        "drawn portraits, 32 px, equal seconds",
        "embedded_faces_32",
        12_000,
        DRAWN_SECONDS,
    ),
    "ablation": _ablation(
        12_000,
        "without grain",
        "without feature matching",
        "without gradient penalties",
        "without labels",
        "without averaged weights",
    ),
    "ablation_longer": _ablation(
        48_000, "without feature matching", "without gradient penalties", "without labels"
    ),
    "diets": Table(
        "Monet, 32 px, 24,000 images",
        {
            title: f"monet_32_minutes_cvaegan/{file}-24000-seed0.json"
            for title, file in (
                ("reconstructions", "reconstructions"),
                ("and samples of N(0, I)", "and_samples_of_the_standard_prior"),
                ("and samples of the fit", "and_samples_of_the_running_fit"),
                ("and both", "and_both"),
                ("samples of the fit alone", "samples_of_the_running_fit_alone"),
                ("the encoder is the critic", "the_encoder_is_the_critic"),
            )
        },
        [
            PAIR[3],
            Row("KID of samples of N(0, I)", "gkid_standard", "z.3f", real="floor_kid"),
            *(PAIR[6], PAIR[2], *COVERING, SHARPNESS, WORST_RING, PSNR),
        ],
        intervals=False,
    ),
    "gap": Table(
        "Monet, 32 px",
        {
            words: f"gap.json:{way}"
            for words, way in (
                ("N(0, I)", "standard prior"),
                ("fitted prior", "fitted prior"),
                *((f"truncation {near:g}", f"truncation {near:g}") for near in (0.9, 0.8, 0.7)),
            )
        },
        [
            Row("KID", "gkid", "z.3f", real="floor_gkid"),
            Row("FID", "gfid", ".0f", real="floor_gfid"),
            Row(COVERING[0].words, "precision", ".2f", real="floor_precision"),
            Row(COVERING[1].words, "recall", ".2f", real="floor_recall"),
            Row(SHARPNESS.words, "sharpness_ratio", "#.2g", real="1"),
        ],
        intervals=False,
    ),
    "lfw_32": small("faces, 32 px", "lfw_32_wide", 160_000, [*COVERING, APART[1]]),
    "lfw_64": small(
        "faces, 64 px", "lfw_64", 100_000, [*COVERING, APART[1]], seconds=249_984
    ),
    "fashion_28": small("clothes, 28 px", "fashion_mnist_28", 96_000, APART, seconds=249_984),
    "faces_drawn_32": small(
        "drawn portraits, 32 px", "embedded_faces_32", 48_000, APART, seconds=122_136
    ),
    "peers": peers("Monet, 32 px, 15 minutes", "peers/monet_32", 900, CONTESTANTS),
    "peers_longer": peers(
        "Monet, 32 px, 30 minutes",
        "peers_longer/monet_32",
        1800,
        {head: who for head, who in CONTESTANTS.items() if "pythae" not in head},
    ),
}  # fmt: skip
