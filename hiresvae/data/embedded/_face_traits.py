"""What a drawn face looks like: its attributes (editable) and its identity (everything else)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hiresvae.data.embedded._face_maths import (
    Colour,
    Field,
    clamp,
    lab_to_srgb,
    mix,
    ramp,
    sin_cos,
    uniforms,
)

RANGES: dict[str, tuple[float, float]] = {
    "skin_tone": (-45.0, 60.0),
    "smile": (-1.0, 1.0),
    "eye_opening": (0.0, 1.0),
    "hair_length": (0.0, 1.0),
    "hair_red": (0.0, 1.0),
    "hair_light": (0.0, 1.0),
    "glasses": (0.0, 1.0),
    "age": (18.0, 80.0),
    "head_turn": (-25.0, 25.0),
    "light_side": (-1.0, 1.0),
}

# Streams of random numbers: a new one may be added without changing what the others give.
_ATTRIBUTES, _IDENTITY, _TABLE = 1, 2, 3
_SPECTACLE_SHARE = 0.25


def attribute_values(seed: int, index: int) -> dict[str, float]:
    """Return the attributes of a face, each independent of all others, inside `RANGES`."""
    u = [float(v) for v in uniforms(seed, index, _ATTRIBUTES, 16)]
    return {
        "skin_tone": -45.0 + 105.0 * u[0],
        "smile": -1.0 + 2.0 * u[1],
        # The largest of three numbers: wide open eyes are common, closed ones are rare.
        "eye_opening": max(u[2], u[3], u[4]),
        "hair_length": u[5],
        "hair_red": u[6] * u[6],
        "hair_light": u[7] * (0.35 + 0.65 * u[7]),
        "glasses": 1.0 if u[8] < _SPECTACLE_SHARE else 0.0,
        "age": 18.0 + 62.0 * u[9],
        "head_turn": -25.0 + 25.0 * (u[10] + u[11]),
        "light_side": -1.0 + 2.0 * u[12],
    }


class Identity:
    """Everything about a face that is not an attribute, as numbers in [0, 1) read by name."""

    _NAMES = (
        "feminine", "width", "taper", "square", "chin", "eye_apart", "eye_size", "eye_cant",
        "iris_hue", "iris_dark", "brow_arch", "brow_thick", "brow_height", "nose_width",
        "nose_long", "nose_high", "mouth_wide", "lip_upper", "lip_lower", "mouth_height",
        "hair_style", "hair_part", "hair_volume", "hair_curl", "hair_line", "hair_flare",
        "grey", "beard", "beard_long", "blush", "freckles", "undertone", "cheek", "gaze",
        "cloth", "cloth_hue", "cloth_light", "cloth_second", "back", "back_hue", "back_light",
        "back_second", "light_high", "light_warm", "frame", "frame_colour", "make_up", "neck",
        "rim", "lid", "shoulder", "ear",
    )  # fmt: skip

    def __init__(self, seed: int, index: int) -> None:
        """Draw the identity of face ``index`` of ``seed``."""
        values = uniforms(seed, index, _IDENTITY, len(self._NAMES))
        self._values = dict(zip(self._NAMES, (float(v) for v in values), strict=True))
        self.table: Field = uniforms(seed, index, _TABLE, 1024)

    def __call__(self, name: str, low: float = 0.0, high: float = 1.0) -> float:
        """Return the named number, stretched from [0, 1) to [low, high)."""
        return low + (high - low) * self._values[name]


def skin_colour(angle: float, undertone: float = 0.5) -> Colour:
    """Return the lit base colour of skin (sRGB in [0, 1]) whose typology angle is ``angle``.

    The angle is arctan((L* - 50) / b*) in degrees. One free number remains, the yellowness b*; it
    follows measured skin (least yellow at both ends) and the ``undertone`` in [0, 1].
    """
    centred = (angle - 14.0) / 52.0
    yellow = 20.5 - 5.5 * centred * centred + 3.0 * (undertone - 0.5)
    sine, cosine = sin_cos(angle)
    red = 12.5 - 2.2 * (undertone - 0.5) - 2.5 * ramp(angle, 20.0, 60.0)
    return lab_to_srgb(50.0 + yellow * sine / cosine, red, yellow)


def hair_colour(light: float, red: float, grey: float) -> Colour:
    """Return the colour of hair from how light and how red it is and its share of grey."""
    if light < 0.45:
        plain = mix((0.085, 0.065, 0.06), (0.36, 0.235, 0.15), light / 0.45)
        coppery = mix((0.20, 0.06, 0.04), (0.52, 0.20, 0.09), light / 0.45)
    else:
        plain = mix((0.36, 0.235, 0.15), (0.86, 0.72, 0.48), (light - 0.45) / 0.55)
        coppery = mix((0.52, 0.20, 0.09), (0.88, 0.52, 0.27), (light - 0.45) / 0.55)
    return mix(mix(plain, coppery, red), (0.70, 0.69, 0.68), grey)


@dataclass(frozen=True)
class Look:
    """The attributes of one face, its identity, and the quantities that follow from both."""

    values: dict[str, float]
    identity: Identity
    yaw_sine: float
    yaw_cosine: float
    feminine: float
    wrinkle: float
    skin: Colour
    hair: Colour
    light: tuple[float, float, float]


def look_of(values: dict[str, float], identity: Identity) -> Look:
    """Return the `Look` of a face from its attributes and identity."""
    sine, cosine = sin_cos(values["head_turn"])
    age = values["age"]
    onset = identity("grey", 44.0, 66.0)
    grey = 0.90 * ramp(age, onset, onset + 28.0)
    side = values["light_side"]
    x, y = 0.80 * side, -identity("light_high", 0.36, 0.58)
    z = 0.80
    norm = 1.0 / math.sqrt(x * x + y * y + z * z)
    return Look(
        values=values,
        identity=identity,
        yaw_sine=sine,
        yaw_cosine=cosine,
        feminine=clamp(0.5 + 2.2 * (identity("feminine") - 0.5)),
        wrinkle=clamp((age - 34.0) / 52.0),
        skin=skin_colour(values["skin_tone"], identity("undertone")),
        hair=hair_colour(values["hair_light"], values["hair_red"], grey),
        light=(x * norm, y * norm, z * norm),
    )
