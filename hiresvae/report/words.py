"""What each figure of an evaluation is, in words for people who meet it for the first time."""

from collections.abc import Sequence

ROLES = {
    "fitted": "samples of the fitted prior",
    "samples": "samples of the fitted prior",
    "standard": "samples of N(0, I)",
    "reconstructions": "reconstructions",
}
GROUPS = (
    "samples of the fitted prior",
    "samples of N(0, I)",
    "reconstructions",
    "likelihood and latents",
    "floors: real pictures against real pictures",
)
# By the beginning of the name; the longest that fits counts.
MEANINGS = {
    "sharpness_ratio": "variance of the Laplacian over that of held-out pictures; below 1 blurred, "
    "above 1 noisy",
    "acutance_ratio": "steepness of edges over that of held-out pictures",
    "spectrum_distance": "mean ratio of powers to held-out pictures, but for the finest quarter",
    "spectrum_worst": "largest relative deviation of power at any frequency",
    "spectrum_worst_train": "the same beside training pictures: they are more, so less is chance",
    "nyquist_excess": "surplus power in pixel-wide patterns",
    "grid_peak": "power of a two-pixel grid over its surroundings, over that of real pictures",
    "swd": "sliced Wasserstein distance of 7 px patches at the scales of a Laplacian pyramid",
    "textures": "kernel distance of fine texture, by which a training keeps its best model",
    "psnr": "of held-out pictures: mean squared error of pixels, in decibel; blur is rewarded",
    "ssim": "of held-out pictures: structural similarity to the original",
    "ms_ssim": "of held-out pictures: structural similarity at several scales",
    "lpips": "of held-out pictures: perceptual distance to the original in a network's features",
    "gfid": "Fréchet distance of Inception features from training pictures; biased by few pictures",
    "gfid_infinity": "the same, extrapolated to endlessly many samples",
    "gkid": "kernel distance of Inception features from training pictures; unbiased",
    "gmifid": "Fréchet distance, enlarged where samples are copies of training pictures",
    "rfid": "Fréchet distance of reconstructions from their originals, held out or trained on",
    "rkid": "kernel distance of reconstructions from their originals, held out or trained on",
    "gfrechet": "Fréchet distance of features from training pictures",
    "gkernel": "kernel distance of features from training pictures",
    "gmifrechet": "Fréchet distance, enlarged where samples are copies of training pictures",
    "rfrechet": "Fréchet distance of reconstructions' features from their originals'",
    "rkernel": "kernel distance of reconstructions' features from their originals'",
    "precision": "share of samples that look like some real picture",
    "recall": "share of real pictures that look like some sample",
    "density": "real pictures around a sample, over what is usual",
    "coverage": "share of real pictures with a sample nearby",
    "diversity": "mean distance of two samples over that of two real pictures; noise raises it too",
    "nearest": "distance of a sample to its nearest training picture; near 0 is a copy",
    "nearest_ratio": "median distance to the nearest training picture over that of held-out "
    "pictures; well below 1 are copies",
    "nearest_pixels_ratio": "the same in pixels; well below 1 are copies",
    "copies": "share of samples nearer to a training picture than nearly all unseen pictures are",
    "elbo": "lower bound on the log likelihood of a held-out picture",
    "iwae": "tighter lower bound on the same",
    "bits_per_dim": "upper bound on the bits that a lossless code needs for a number",
    "distortion": "what the decoder misses of a picture",
    "rate": "what the latents tell of a picture",
    "rate_label": "what telling the label takes",
    "kl_rung": "what the latents of one rung tell of a picture",
    "active_units": "latents that carry something",
    "prior_gap": "distance of the latents from N(0, I)",
    "floor_spectrum_worst_train": "held-out pictures beside training pictures",
    "floor_swd_train": "training pictures beside held-out ones, as many as there are samples",
    "floor_prior_gap": "of as many draws from N(0, I) itself: what chance makes of so few",
    "floor": "of two halves of the real pictures, which are fewer than all: what chance makes of "
    "so few, and of another set. Reconstructions, beside their own originals, can come below it",
}


def meaning(name: str) -> str:
    """Returns what a figure is, or nothing where no words are known.

    Example:
        >>> meaning("psnr_reconstructions")
        'of held-out pictures: mean squared error of pixels, in decibel; blur is rewarded'
    """
    known = [start for start in MEANINGS if name == start or name.startswith(f"{start}_")]
    return MEANINGS[max(known, key=len)] if known else ""


def group(name: str) -> str:
    """Returns which of `GROUPS` a figure belongs to.

    Example:
        >>> group("gfid_standard"), group("rfid")
        ('samples of N(0, I)', 'reconstructions')
    """
    parts = name.split("_")
    if parts[0] == "floor":
        return GROUPS[4]
    role = next((ROLES[part] for part in parts if part in ROLES), None)
    if role is not None:
        return role
    is_remade = parts[0] in ("rfid", "rkid", "rfrechet", "rkernel")
    return GROUPS[2] if is_remade else GROUPS[3]


def number(value: float | None) -> str:
    """Returns a figure's value for people, four digits of it.

    Example:
        >>> number(0.0123456), number(None)
        ('0.01235', '-')
    """
    return "-" if value is None else f"{value:.4g}"


def listed(words: Sequence[str]) -> str:
    """Returns words as a sentence lists them.

    Example:
        >>> listed(["a", "b", "c"])
        'a, b and c'
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
