"""Eyes, brows, nostrils and mouth, painted over the shaded skin."""

from __future__ import annotations

import numpy as np

from hiresvae.data.embedded._face_canvas import Canvas, ramp_colours
from hiresvae.data.embedded._face_head import EYE_LEVEL, Head
from hiresvae.data.embedded._face_maths import (
    Colour,
    bump,
    clamp,
    lab_to_srgb,
    line,
    mix,
    noise_line,
    ramp,
    step,
    tint,
    unit,
)
from hiresvae.data.embedded._face_traits import Look

_IRISES: tuple[Colour, ...] = (
    (0.20, 0.11, 0.06),
    (0.27, 0.16, 0.08),
    (0.36, 0.24, 0.12),
    (0.40, 0.38, 0.20),
    (0.33, 0.44, 0.40),
    (0.36, 0.50, 0.62),
    (0.45, 0.53, 0.58),
)


def _line_colour(look: Look) -> Colour:
    """Return the colour of the darkest lines of a face: a deep, warm version of its skin."""
    return tint(look.skin, 0.27, 0.17, 0.15)


def paint_features(canvas: Canvas, look: Look, head: Head) -> None:
    """Paint eyes, brows, nostrils and mouth."""
    _paint_eyes(canvas, look, head)
    _paint_brows(canvas, look, head)
    _paint_nostrils(canvas, look, head)
    _paint_mouth(canvas, look, head)


def _paint_eyes(canvas: Canvas, look: Look, head: Head) -> None:
    """Paint both eyes, mirrored, with their lids and lashes."""
    one, fem = look.identity, look.feminine
    middle = look.yaw_sine * 0.40
    box = canvas.box(middle - 0.34, middle + 0.34, EYE_LEVEL - 0.12, EYE_LEVEL + 0.09)
    u, v = head.u[box], head.y[box[0]]
    half = head.eye_half
    side = np.where(u < 0.0, -1.0, 1.0)
    across = np.abs(u) - head.eye_x
    p = across * (1.0 / half)
    cant = one("eye_cant", -0.004, 0.016)
    q = v - EYE_LEVEL + cant * p
    p2 = p * p
    opening = clamp(look.values["eye_opening"])
    dome = (1.0 - p2) * (0.62 + 0.38 * (1.0 + p2)) * (1.0 - 0.10 * p)
    size = one("eye_size", 0.95, 1.05)
    upper = 0.013 * dome - size * (0.013 + 0.052 * opening) * dome * (0.45 + 0.55 * opening)
    lower = 0.013 * dome + size * 0.016 * opening * (1.0 - p2) * (1.0 + 0.2 * p)
    below, above = q - upper, lower - q
    slit = np.minimum(below, above)
    eye = canvas.cover(slit, 0.008) * ramp(opening, 0.02, 0.14)

    dark = _line_colour(look)
    # The fold of the upper lid, and the lid itself, a little darker than the skin around it.
    fold_y = upper - (0.012 + 0.016 * opening + one("lid", 0.0, 0.010)) * unit(1.25 - p2)
    lid = step(q - fold_y, -0.004, 0.006) * canvas.cover(-below, 0.01) * unit(2.6 - 2.2 * p2)
    make_up = fem * ramp(one("make_up"), 0.35, 0.9)
    canvas.shade(box, (0.80, 0.70, 0.68), lid * (0.45 + 0.55 * make_up))
    canvas.blend(box, dark, 0.50 * line(q - fold_y, 0.012) * unit(1.9 - 1.45 * p2))
    canvas.shade(box, (0.72, 0.62, 0.60), 0.7 * line(q - lower - 0.010, 0.022) * unit(1.4 - p2))

    tone = 1.0 - 0.22 * p2
    tone = (
        tone
        * (0.58 + 0.42 * step(below, -0.004, 0.030))
        * (0.84 + 0.10 * side * look.light[0] * unit(np.abs(p)))
    )
    white = mix((0.95, 0.925, 0.90), look.skin, 0.10)
    colours = ramp_colours(white, (0.38, 0.30, 0.30), tone)
    corner = bump(p + 0.92, q, 0.22, 0.03)
    colours[1:] *= 1.0 - 0.35 * corner

    radius = 0.0415
    look_x = one("gaze", -0.012, 0.012) - 0.018 * look.yaw_sine
    iris_x, iris_y = across - side * look_x, q + 0.0075
    r = np.sqrt(iris_x * iris_x + iris_y * iris_y)
    shade = one("iris_dark", 0.85, 1.15)
    iris = tint(_IRISES[min(int(one("iris_hue") * one("iris_hue") * 8.0), 6)], shade, shade, shade)
    ring = step(r, 0.026, radius)
    glow = unit(0.5 + iris_y * 12.0) * (1.0 - ring)
    part = np.empty_like(colours)
    for channel in range(3):
        part[channel] = iris[channel] * (0.80 - 0.62 * ring + 0.55 * glow)
    part *= 0.55 + 0.45 * step(below, 0.0, 0.026)
    colours += (part - colours) * canvas.cover(radius - r, 0.010)
    pupil = canvas.cover(0.0165 - r, 0.008)
    colours *= 1.0 - 0.93 * pupil
    canvas.blend(box, colours, eye)
    # The light is mirrored at the same place on both eyeballs.
    gx = side * iris_x - 0.018 * look.light[0] / 0.6
    glint = canvas.cover(0.0095 - np.sqrt(gx * gx + (iris_y + 0.014) * (iris_y + 0.014)), 0.007)
    canvas.blend(box, (1.0, 1.0, 0.99), 0.92 * glint * eye)

    # Lashes: a dark line that is thickest towards the outer corner.
    taper = unit(1.12 - np.abs(p)) * 6.0
    weight = (0.0065 + 0.0045 * fem + 0.003 * make_up) * (0.75 + 0.30 * p) * unit(taper)
    lash = canvas.stroke(q - upper + 0.001, np.maximum(weight, 1e-4))
    lash = lash * step(np.abs(p), 1.16, 1.0)
    canvas.blend(box, tint(dark, 0.55, 0.55, 0.6), 0.95 * lash)
    lash = canvas.stroke(q - lower, 0.004) * step(np.abs(p), 1.05, 0.7)
    canvas.blend(box, dark, (0.42 + 0.2 * make_up) * lash)


def _paint_brows(canvas: Canvas, look: Look, head: Head) -> None:
    """Paint the eyebrows, thick at the nose and thin at the temple."""
    one, fem = look.identity, look.feminine
    middle = look.yaw_sine * 0.42
    box = canvas.box(middle - 0.37, middle + 0.37, head.brow_y - 0.09, head.brow_y + 0.08)
    u, v = head.u[box], head.y[box[0]]
    a = np.abs(u)
    t = (a - 0.075) * (1.0 / 0.235)  # 0 at the nose, 1 at the temple
    arch = one("brow_arch", 0.012, 0.030) + 0.010 * fem
    rise = unit(t) * (1.0 / 0.62)
    bend = np.minimum(rise, 1.0)
    drop = np.maximum(rise - 1.0, 0.0)
    curve = head.brow_y + 0.012 - arch * bend * (2.0 - bend) + 0.085 * drop * drop + 0.02 * drop
    full = one("brow_thick", 0.017, 0.026) - 0.005 * fem
    thick = np.maximum(full * (1.0 - 0.72 * unit(t) * unit(t)), 0.001)
    d = np.abs(v - curve)
    fine = 70.0 if canvas.n >= 300 else 46.0
    hairs = noise_line((a * 2.1 - v * 1.3) * fine + (u < 0.0) * 97.0, one.table)
    soft = unit((thick - d) * (1.0 / (0.9 * thick)) + 0.10 + 0.40 * (hairs - 0.5))
    ends = step(t, -0.06, 0.10) * step(t, 1.04, 0.80)
    colour = mix(tint(look.hair, 0.55, 0.52, 0.52), _line_colour(look), 0.40)
    fade = 1.0 - 0.25 * ramp(look.values["age"], 55.0, 80.0)
    canvas.blend(box, colour, (0.80 - 0.06 * fem) * fade * soft * ends)


def _paint_nostrils(canvas: Canvas, look: Look, head: Head) -> None:
    """Paint the nostrils and the crease around each wing of the nose."""
    middle = look.yaw_sine * 0.46
    box = canvas.box(middle - 0.17, middle + 0.17, head.nose_base - 0.10, head.nose_base + 0.05)
    u = head.u[box] - look.yaw_sine * 0.045
    v = head.y[box[0]]
    a = np.abs(u)
    hole = bump(a - 0.50 * head.nose_half, v - head.nose_base + 0.004 + 0.20 * (a - 0.045),
                0.027, 0.0125)  # fmt: skip
    canvas.blend(box, _line_colour(look), 0.85 * unit(1.25 * hole))
    wing_x, wing_y = a - head.nose_half + 0.032, v - head.nose_base + 0.030
    ring = np.sqrt(wing_x * wing_x + wing_y * wing_y) - 0.042
    arc = line(ring, 0.014) * step(wing_x, -0.005, 0.03) * step(wing_y, -0.035, 0.0)
    canvas.shade(box, (0.55, 0.42, 0.40), 0.75 * arc)
    base = line(v - head.nose_base - 0.004 + 0.10 * a, 0.014) * step(a, head.nose_half, 0.03)
    canvas.shade(box, (0.62, 0.48, 0.46), 0.55 * base)


def _lip_colour(look: Look) -> Colour:
    """Return the colour of the lips: redder than the skin, more so with make-up."""
    one = look.identity
    natural = tint(look.skin, 0.90, 0.66, 0.66)
    painted = lab_to_srgb(43.0, one("make_up", 36.0, 50.0), one("rim", 10.0, 26.0))
    share = 0.62 * look.feminine * ramp(one("make_up"), 0.45, 1.0)
    return mix(natural, painted, share)


def _paint_mouth(canvas: Canvas, look: Look, head: Head) -> None:
    """Paint lips and, in a broad smile, teeth; the corners follow the smile."""
    one, fem = look.identity, look.feminine
    smile = look.values["smile"]
    joy, gloom = max(smile, 0.0), max(-smile, 0.0)
    middle = look.yaw_sine * 0.40
    top, bottom = head.mouth_y - 0.11, head.mouth_y + 0.14
    box = canvas.box(middle - 0.27, middle + 0.27, top, bottom)
    u, v = head.u[box] - 0.03 * look.yaw_sine, head.y[box[0]]
    half = one("mouth_wide", 0.140, 0.165) * (1.0 + 0.17 * joy - 0.04 * gloom)
    p = u * (1.0 / half)
    p2 = p * p
    q = v - head.mouth_y
    inner = unit(1.0 - p2)
    curve = joy - 0.34 * gloom  # an unhappy mouth bends less than a happy one
    seam = 0.018 * curve - 0.050 * curve * p2 * (1.15 - 0.15 * p2) - 0.004 * bump(p, q, 0.25, 0.1)
    gape = 0.062 * ramp(smile, 0.25, 1.0)
    roof = seam - 0.16 * gape * inner
    floor = seam + gape * inner * (0.75 + 0.25 * inner)
    # Cupid's bow: a dip in the middle of the upper lip between two low peaks.
    bow = 1.0 - 0.22 * line(p, 0.34) + 0.10 * line(np.abs(p) - 0.26, 0.3)
    plump = 1.0 - 0.24 * look.wrinkle
    thin = 1.0 - 0.25 * joy
    high = (one("lip_upper", 0.030, 0.047) + 0.004 * fem) * thin * plump
    low = (one("lip_lower", 0.038, 0.056) + 0.004 * fem) * thin * plump
    upper = roof - high * inner * (1.0 - 0.25 * p2) * bow
    lower = floor + low * inner * (0.55 + 0.45 * inner)

    colour = _lip_colour(look)
    lx = look.light[0]
    # Rolls of flesh: the upper lip faces down and is dark, the lower one catches the light.
    f = unit((q - floor) / np.maximum(lower - floor, 0.006))
    tone = 0.90 + 0.16 * bump(f - 0.40, p * 0.5, 0.42, 0.5) - 0.30 * f * f * f
    g = unit((roof - q) / np.maximum(roof - upper, 0.006))
    tone = np.where(q < 0.5 * (roof + floor), 0.58 + 0.24 * g, tone)
    tone = tone + 0.10 * lx * p
    crease = noise_line(p * 13.0 + 2.0 * p * f, one.table) - 0.5
    tone = tone + (0.10 * crease if canvas.n >= 300 else 0.0)
    colours = ramp_colours(colour, (0.30, 0.20, 0.20), tone)
    shine = bump(p - 0.25 * lx, f - 0.36, 0.42, 0.26) * (0.06 + 0.12 * fem * one("make_up"))
    colours += shine * step(q - floor, 0.0, 0.01)
    lips = canvas.cover(np.minimum(q - upper, lower - q), 0.013) * step(np.abs(p), 1.04, 0.86)
    canvas.blend(box, colours, lips * (0.80 + 0.15 * fem))
    canvas.shade(box, (0.66, 0.53, 0.50), 0.7 * line(q - lower - 0.014, 0.026) * inner)

    dark = _line_colour(look)
    if gape > 0.004:
        mouth = canvas.cover(np.minimum(q - roof, floor - q), 0.007)
        mouth = mouth * step(np.abs(p), 1.0, 0.88)
        canvas.blend(box, mix(dark, (0.20, 0.05, 0.05), 0.5), mouth)
        edge = floor - 0.20 * gape * inner
        teeth = canvas.cover(np.minimum(q - roof - 0.002, edge - q), 0.010)
        teeth = teeth * step(np.abs(p), 0.96, 0.70)
        enamel = (0.93 - 0.12 * p2) * (0.70 + 0.30 * step(q - roof, -0.004, 0.022))
        ivory = ramp_colours((0.985, 0.955, 0.905), (0.3, 0.22, 0.2), enamel)
        gap = np.abs(u * (1.0 / 0.030) - np.floor(u * (1.0 / 0.030) + 0.5))
        canvas.blend(box, ivory, teeth * (0.97 - 0.16 * line(gap, 0.10)))
    seam_line = canvas.stroke(q - roof, 0.0065) * step(np.abs(p), 1.01, 0.84)
    canvas.blend(box, dark, 0.80 * seam_line)
    dimple = bump(np.abs(p) - 1.02, q - seam, 0.15, 0.034)
    canvas.shade(box, (0.60, 0.47, 0.45), (0.35 + 0.35 * joy) * dimple)
