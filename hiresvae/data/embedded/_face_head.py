"""The head: its outline, coordinates that turn with it, and skin shaded from a relief."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from hiresvae.data.embedded._face_canvas import Box, Canvas, ramp_colours
from hiresvae.data.embedded._face_maths import (
    Colour,
    Field,
    add_bump,
    bump,
    line,
    mix,
    noise_grid,
    ramp,
    smooth,
    step,
    tint,
    unit,
)
from hiresvae.data.embedded._face_traits import Look

CROWN = -0.77
EYE_LEVEL = -0.10
TEMPLE_LEVEL = -0.13
NOSE_BASE = 0.165
SHADOW: Colour = (0.40, 0.27, 0.25)


class Head:
    """Where the head is on the canvas, and where a pixel lies on the face.

    ``across`` runs from -1 to 1 over the outline of the head; ``u`` is the coordinate across the
    face itself, which the turned head carries with it, and ``v`` (= y) the one down the face.
    """

    def __init__(self, canvas: Canvas, look: Look) -> None:
        """Compute the fields of one head on a canvas."""
        one, y = look.identity, canvas.y
        fem = look.feminine
        self.half = one("width", 0.405, 0.450) - 0.010 * fem
        self.chin = 0.545 + one("chin", -0.02, 0.035) - 0.02 * fem
        self.eye_x = one("eye_apart", 0.183, 0.202)
        self.eye_half = one("eye_size", 0.090, 0.100) + 0.004 * fem
        self.mouth_y = 0.315 + one("mouth_height", -0.012, 0.012)
        self.nose_half = one("nose_width", 0.078, 0.112) - 0.012 * fem
        self.nose_base = NOSE_BASE + one("nose_long", -0.018, 0.02)
        self.brow_y = -0.218 - one("brow_height", 0.0, 0.03) - 0.012 * fem

        up = np.maximum(TEMPLE_LEVEL - y, 0.0) * (1.0 / (TEMPLE_LEVEL - CROWN))
        down = np.maximum(y - TEMPLE_LEVEL, 0.0) * (1.0 / (self.chin - TEMPLE_LEVEL))
        up2, down2 = up * up, down * down
        down4 = down2 * down2
        taper = one("taper", 0.27, 0.39) + 0.05 * fem
        square = one("square", 0.0, 0.4) + 0.25 * (1.0 - fem)
        width = np.sqrt(np.maximum(1.0 - 0.72 * up2 - 0.28 * up2 * up2, 0.0))
        fall = 1.0 - (1.0 - square) * down4 - square * down4 * down4
        width = width * (1.0 - taper * down2) * np.sqrt(np.maximum(fall, 0.0))
        self.width: Field = np.maximum(self.half * width, 1e-3)
        # The chin stands forward of the axis of the head, so it swings further as the head turns.
        self.centre: Field = look.yaw_sine * (0.03 + 0.07 * down2 - 0.05 * up2)
        self.y: Field = y
        profile = np.sqrt(np.maximum(1.0 - 0.55 * up2 * up2 - 0.40 * up2, 0.0))
        profile = profile * np.sqrt(np.maximum(1.0 - 0.10 * down2 - 0.9 * down4 * down4, 0.0))
        self.profile: Field = profile
        self._canvas, self._look = canvas, look

    @cached_property
    def across(self) -> Field:
        """The coordinate (n, n) that is -1 and 1 on the outline of the head."""
        return (self._canvas.x - self.centre) / self.width

    @cached_property
    def depth(self) -> Field:
        """How far the smooth head reaches towards the viewer: 1 in the middle, 0 outside."""
        depth = self.across * self.across
        np.subtract(1.0, depth, out=depth)
        depth.clip(0.0, 1.0, out=depth)
        return np.sqrt(depth, out=depth)

    @cached_property
    def u(self) -> Field:
        """The coordinate (n, n) across the face, 0 along its middle wherever it turns."""
        sine, cosine = self._look.yaw_sine, self._look.yaw_cosine
        turned = self.across * cosine
        turned -= self.depth * sine
        # Points beyond the side of the head continue the coordinate instead of folding back.
        away = -1.0 if sine > 0.0 else 1.0
        behind = (self.across * away > cosine) & (self.depth > 0.0)
        np.subtract(2.0 * away, turned, out=turned, where=behind)
        turned *= self.width
        return turned

    def edge(self, box: Box) -> Field:
        """Return the signed distance in a box, positive inside, from the outline of the head."""
        y, width = self.y[box[0]], self.width[box[0]]
        scale = np.minimum(width, 0.4) / (1.0 + 1.2 * step(y, self.chin - 0.12, self.chin))
        return np.minimum((1.0 - np.abs(self.across[box])) * scale, self.chin - y)


def _nose_ridge(head: Head, v: Field, high: float) -> Field:
    """Return how far the ridge of the nose stands out at each height of the face."""
    top, base = -0.14, head.nose_base - 0.035
    t = unit((v - top) * (1.0 / (base - top)))
    tip = unit((v - base) * (1.0 / 0.070))
    rise = (0.16 + 0.84 * t * (0.55 + 0.45 * t)) * step(v, -0.25, -0.08)
    return high * rise * (1.0 - smooth(tip))


def _relief(head: Head, look: Look, u: Field, v: Field) -> Field:
    """Return what brow, sockets, nose, cheeks, lips and chin add to the smooth head."""
    one, fem = look.identity, look.feminine
    smile = look.values["smile"]
    a = np.abs(u)
    high = one("nose_high", 0.085, 0.125)
    ridge = _nose_ridge(head, v, high)
    nose_u = u - look.yaw_sine * ridge * 0.9
    spread = 0.040 + 0.034 * step(v, -0.08, head.nose_base - 0.03)
    r = nose_u / spread
    z = ridge / ((1.0 + 0.55 * r * r) * (1.0 + 0.55 * r * r))
    na = np.abs(nose_u)
    add_bump(z, 0.030, nose_u, v - (head.nose_base - 0.045), 0.062, 0.052)
    wing = head.nose_half
    add_bump(z, 0.052, na - (wing - 0.030), v - (head.nose_base - 0.030), 0.044, 0.050)
    add_bump(z, -(0.040 - 0.012 * fem), a - head.eye_x + 0.02, v + 0.115, 0.145, 0.085)
    add_bump(z, 0.026, a - head.eye_x, v - EYE_LEVEL, 0.105, 0.070)
    add_bump(z, 0.016 - 0.011 * fem, a - 0.13, v - head.brow_y - 0.005, 0.22, 0.09)
    add_bump(z, one("cheek", 0.022, 0.042), a - 0.245, v - 0.035, 0.17, 0.15)
    add_bump(z, -one("cheek", 0.0, 0.022), a - 0.27, v - 0.25, 0.13, 0.15)
    add_bump(z, 0.020 * max(smile, 0.0), a - 0.205, v - 0.105, 0.12, 0.10)
    add_bump(z, 0.030, u, v - head.mouth_y, 0.21, 0.17)
    add_bump(z, -0.005, u, v - 0.5 * (head.nose_base + head.mouth_y) + 0.01, 0.034, 0.06)
    add_bump(z, -0.014, u, v - (head.mouth_y + 0.088), 0.13, 0.048)
    add_bump(z, 0.028, u, v - (head.chin - 0.080), 0.14 - 0.02 * fem, 0.105)
    return z


def _band(v: Field, low: float, high: float) -> slice:
    """Return the rows of a column ``v`` whose values lie between two heights."""
    first, last = np.searchsorted(v[:, 0], (low, high))
    return slice(int(first), int(last))


def _folds(look: Look, head: Head, u: Field, v: Field) -> Field:
    """Return how much wrinkles and folds darken the skin; they deepen with age and smiling."""
    age, joy = look.wrinkle, max(look.values["smile"], 0.0)
    a = np.abs(u)
    folds = np.zeros_like(u)
    # From the wing of the nose, outwards and down past the corner of the mouth.
    top = head.nose_base - 0.04
    rows = _band(v, top - 0.01, top + 0.24)
    t = (v[rows] - top) * (1.0 / 0.21)
    path = head.nose_half + 0.008 + (0.10 + 0.03 * joy) * t * (0.55 + 0.45 * t)
    fade = step(t, -0.02, 0.25) * (1.0 - step(t, 0.55, 1.1))
    folds[rows] += (0.05 + 0.20 * age + 0.18 * joy) * fade * line(a[rows] - path, 0.040)
    # Bags below the eyes.
    rows = _band(v, EYE_LEVEL - 0.03, EYE_LEVEL + 0.10)
    e = (a[rows] - head.eye_x) * (1.0 / 0.10)
    bags = line(v[rows] - EYE_LEVEL - 0.072 + 0.030 * e * e, 0.020)
    folds[rows] += (0.06 + 0.26 * age) * bags * (1.0 - step(np.abs(e), 0.5, 1.1))
    if age > 0.0:
        folds += age * _wrinkles(head, u, a, v)
    return folds


def _wrinkles(head: Head, u: Field, a: Field, v: Field) -> Field:
    """Return the lines that age alone draws; ``a`` is the absolute value of ``u``."""
    wrinkles = np.zeros_like(u)
    # Across the forehead, and between the brows.
    rows = _band(v, -0.46, -0.28)
    across = u[rows] * (1.0 / 0.27)
    across *= across
    bend = v[rows] + 0.0073 * across
    lines = 0.8 * line(bend + 0.315, 0.013)
    lines += line(bend + 0.365, 0.013)
    lines += 0.7 * line(bend + 0.418, 0.013)
    wrinkles[rows] = 0.13 * lines * unit(1.0 - across)
    rows = _band(v, -0.29, -0.18)
    frown = bump(u[rows], v[rows] + 0.235, 0.1, 0.055)
    wrinkles[rows] += 0.10 * frown * line(a[rows] - 0.024, 0.014)
    # A fan at the outer corner of each eye.
    rows = _band(v, EYE_LEVEL - 0.04, EYE_LEVEL + 0.06)
    c = (a[rows] - head.eye_x - head.eye_half - 0.012) * (1.0 / 0.07)
    level = v[rows] - EYE_LEVEL - 0.006
    fan = line(level + 0.0245 * c, 0.010)
    fan += line(level - 0.0056 * c, 0.010)
    fan += line(level - 0.0350 * c, 0.010)
    wrinkles[rows] += 0.20 * fan * unit(4.0 * c) * unit(2.0 - 2.0 * c)
    # The corners of the mouth sag and jowls form.
    rows = _band(v, head.mouth_y - 0.01, head.mouth_y + 0.15)
    below = v[rows] - head.mouth_y
    sag = bump(a[rows] - 0.19, below - 0.07, 0.1, 0.075)
    wrinkles[rows] += 0.13 * sag * line(a[rows] - 0.185 - 0.10 * below, 0.030)
    return wrinkles


def _normals(z: Field, pixel: float) -> tuple[Field, Field, Field]:
    """Return the unit normals of a relief: the parts to the right, down and to the viewer."""
    gx, gy = np.empty_like(z), np.empty_like(z)
    gx[:, 1:-1] = z[:, 2:] - z[:, :-2]
    gx[:, 0], gx[:, -1] = gx[:, 1], gx[:, -2]
    gy[1:-1] = z[2:] - z[:-2]
    gy[0], gy[-1] = gy[1], gy[-2]
    scale = 0.5 / pixel
    gx *= scale
    gy *= scale
    # Steep places are flattened, as light scattered under the skin would soften them.
    gx /= 1.0 + 0.30 * np.abs(gx)
    gy /= 1.0 + 0.55 * np.abs(gy)
    inverse = 1.0 / np.sqrt(1.0 + gx * gx + gy * gy)
    return -gx * inverse, -gy * inverse, inverse


def paint_head(canvas: Canvas, look: Look, head: Head, hair_shade: Field) -> None:
    """Paint the skin of the head; ``hair_shade`` (n, n) is the shadow that the hair throws."""
    one, fem = look.identity, look.feminine
    reach = 0.10 * abs(look.yaw_sine) + 0.03
    box = canvas.box(-head.half - reach, head.half + reach, CROWN, head.chin + 0.02)
    u, v = head.u[box], head.y[box[0]]
    a = np.abs(u)
    depth = head.depth[box]
    # A real face is flatter in front and rounder at the sides than an ellipsoid.
    z = 0.40 * head.profile[box[0]] * depth * (1.45 - 0.45 * depth)
    z = z + _relief(head, look, u, v)
    nx, ny, nz = _normals(z, canvas.pixel)
    lx, ly, lz = look.light
    lit = nx * lx + ny * ly + nz * lz
    tone = 0.30 + 0.90 * unit(lit * 0.86 + 0.10)
    tone += 0.10 * unit(-nx * lx - 0.25)  # light thrown back by the surroundings
    occluded = _folds(look, head, u, v)
    add_bump(occluded, 0.30, a - 0.105, v + 0.125, 0.10, 0.085)
    add_bump(occluded, 0.20 - 0.06 * fem, a - head.eye_x, v - head.brow_y - 0.055, 0.14, 0.05)
    side = -1.0 if lx > 0.0 else 1.0
    throw = 0.05 * abs(look.values["light_side"])
    shift = u - side * throw - 0.9 * look.yaw_sine * 0.06
    add_bump(occluded, 0.26, shift, v - head.nose_base - 0.012, head.nose_half + 0.015, 0.042)
    add_bump(occluded, 0.24, u, v - (head.mouth_y + 0.086), 0.11, 0.032)
    tone *= 1.0 - np.minimum(occluded, 0.8)
    tone *= 1.0 - 0.42 * hair_shade[box]
    table = one.table
    x_ruler, y_ruler = canvas.rulers(box)
    blotch = noise_grid(x_ruler * 9.0 + 3.0, y_ruler * 9.0 + 5.0, table) - 0.5
    tone += 0.035 * blotch
    if canvas.n >= 300:
        # Pores: too fine to survive in a small picture, so drawn in large ones only.
        tone += 0.020 * (noise_grid(x_ruler * 95.0, y_ruler * 95.0, table) - 0.5)
    base = look.skin
    colours = ramp_colours(base, SHADOW, np.minimum(tone, 1.16))
    blush = 0.25 * blotch
    add_bump(blush, one("blush", 0.45, 1.0), a - 0.225, v - 0.085, 0.17, 0.12)
    add_bump(blush, 0.55, u, v - head.nose_base + 0.05, 0.10, 0.07)
    add_bump(blush, 0.25, u, v - head.chin + 0.07, 0.13, 0.07)
    strength = 0.55 + 0.45 * ramp(look.values["skin_tone"], -30.0, 40.0)
    colours[1] *= 1.0 - 0.115 * strength * blush
    colours[2] *= 1.0 - 0.095 * strength * blush
    shadowed = _stubble(look, head, u, v)
    if shadowed is not None:
        colours += (_beard_colour(look, tone) - colours) * shadowed
    hx, hy, hz = lx, ly, lz + 1.0
    norm = 1.0 / np.sqrt(hx * hx + hy * hy + hz * hz)
    gloss = unit((nx * hx + ny * hy + nz * hz) * norm)
    gloss = gloss * gloss
    gloss = gloss * gloss
    gloss = gloss * gloss
    gloss = gloss * gloss
    gloss = (0.055 + 0.045 * (1.0 - strength)) * gloss * (gloss + 0.25) * tone
    if shadowed is not None:
        gloss = gloss * (1.0 - shadowed)
    colours += gloss * np.array((1.0, 0.94, 0.88))[:, None, None]
    canvas.blend(box, colours, canvas.cover(head.edge(box), 0.010))


def _beard_colour(look: Look, tone: Field) -> Field:
    """Return the colours of the beard under the light on the face."""
    # Roots and skin show through, so a beard is darker than its hair and takes after the skin.
    colour = mix(tint(look.hair, 0.66, 0.64, 0.64), tint(look.skin, 0.50, 0.44, 0.42), 0.38)
    return ramp_colours(colour, (0.3, 0.3, 0.32), np.minimum(tone, 1.1))


def _stubble(look: Look, head: Head, u: Field, v: Field) -> Field | None:
    """Return the opacity of beard or stubble, or None for a face without."""
    one = look.identity
    if look.feminine > 0.5 or one("beard") < 0.45:
        return None
    a = np.abs(u)
    strength = 0.16 if one("beard") < 0.72 else one("beard_long", 0.45, 0.88)
    cheek_line = 0.17 + 0.12 * step(a, 0.33, 0.10) - 0.15 * step(a, 0.32, 0.42)
    cheek = step(v - cheek_line, 0.0, 0.10)
    droop = v - 0.9 * a * a
    lip = step(droop, head.nose_base + 0.030, head.nose_base + 0.065) * step(a, 0.19, 0.13)
    lip = lip * (0.80 + 0.20 * step(a, 0.0, 0.04))
    # Bare skin below the lower lip, at both sides of the tuft in its middle.
    bare = bump(a - 0.075, v - head.mouth_y - 0.055, 0.085, 0.062)
    grown = np.maximum(cheek, lip) * (1.0 - unit(1.5 * bare))
    return unit(strength * grown)
