"""Everything around the face: background, ears, neck, clothes and glasses."""

from __future__ import annotations

import numpy as np

from hiresvae.data.embedded._face_canvas import Box, Canvas, ramp_colours
from hiresvae.data.embedded._face_head import EYE_LEVEL, SHADOW, Head
from hiresvae.data.embedded._face_maths import (
    Colour,
    Field,
    bump,
    lab_to_srgb,
    line,
    mix,
    noise_grid,
    noise_line,
    ramp,
    step,
    tint,
    unit,
    wave,
)
from hiresvae.data.embedded._face_traits import Look

_HUES = (
    (1.0, 0.0), (0.87, 0.5), (0.5, 0.87), (0.0, 1.0), (-0.5, 0.87), (-0.87, 0.5),
    (-1.0, 0.0), (-0.87, -0.5), (-0.5, -0.87), (0.0, -1.0), (0.5, -0.87), (0.87, -0.5),
)  # fmt: skip


def _dye(lightness: float, strength: float, hue: float) -> Colour:
    """Return a colour of the wheel: ``hue`` in [0, 1), lightness and strength as in CIELAB."""
    a, b = _HUES[int(hue * 12.0)]
    return lab_to_srgb(lightness, strength * a, strength * b)


def paint_background(canvas: Canvas, look: Look) -> None:
    """Fill the canvas with a soft backdrop: studio glow, wall with light, or blurred lights."""
    one = look.identity
    x, y = canvas.x, canvas.y
    kind = int(one("back") * 4.0)
    light = one("back_light", 22.0, 84.0)
    hue = one("back_hue")
    main = _dye(light, one("back_second", 4.0, 26.0), hue)
    other = _dye(min(light + 14.0, 94.0), one("back_second", 2.0, 22.0), (hue + 0.12) % 1.0)
    table = one.table
    cloud = noise_grid(x * 1.3 + 3.0, y * 1.3 + 9.0, table)
    glow_x = -0.45 * look.light[0]
    if kind == 0:
        r = ((x - glow_x) * (x - glow_x) + (y + 0.25) * (y + 0.25)) * (1.0 / 2.2)
        share = unit(1.0 - r) + 0.25 * (cloud - 0.5)
    elif kind == 1:
        share = 0.5 - 0.38 * y + 0.45 * (cloud - 0.5)
    elif kind == 2:
        slant = x * (0.8 if look.light[0] < 0.0 else -0.8) + 0.4 * y
        share = step(slant, 0.55, -0.55) * 0.75 + 0.3 * (cloud - 0.5)
    else:
        fine = noise_grid(x * 2.7 + 17.0, y * 2.7 + 5.0, table)
        share = step(0.55 * cloud + 0.45 * fine, 0.25, 0.75)
    dim = 1.0 - 0.20 * unit(0.42 * (x * x + y * y))
    for channel in range(3):
        low = tint(main, 0.80, 0.80, 0.82)[channel]
        canvas.rgb[channel] = (low + (other[channel] - low) * unit(share)) * dim
    if kind == 3:
        for k in range(7):
            cx, cy = 2.0 * table[40 + k] - 1.0, 1.5 * table[60 + k] - 1.05
            radius = 0.10 + 0.13 * table[80 + k]
            box = canvas.box(cx - radius, cx + radius, cy - radius, cy + radius)
            bx, by = canvas.rulers(box)
            d = radius - np.sqrt((bx - cx) * (bx - cx) + (by - cy) * (by - cy))
            disc = canvas.cover(d, 0.05) * (0.16 + 0.16 * table[100 + k])
            lamp = mix(other, _dye(86.0, 30.0, float(table[120 + k])), 0.55)
            canvas.blend(box, lamp, disc)


def paint_ears(canvas: Canvas, look: Look, head: Head) -> None:
    """Paint the ears; the head, painted later, hides what lies behind it."""
    turn = look.yaw_sine
    lx = look.light[0]
    for side in (-1.0, 1.0):
        away = side * turn  # positive for the ear that turns out of sight
        middle = side * (head.half + 0.010 - 0.07 * max(away, 0.0) - 0.02 * max(-away, 0.0))
        middle += 0.02 * turn - 0.05 * side * ramp(look.values["hair_length"], 0.12, 0.28)
        y0, high = -0.015, 0.145 + 0.02 * look.identity("ear")
        box = canvas.box(middle - 0.10, middle + 0.10, y0 - 0.2, y0 + 0.2)
        x, y = canvas.rulers(box)
        dx, dy = side * (x - middle), y - y0
        lean = dx + 0.16 * dy
        wide = 0.062 - 0.014 * unit(dy * 6.0)
        r = np.sqrt((lean / wide) * (lean / wide) + (dy / high) * (dy / high))
        tone = 0.80 - 0.10 * lx * -side + 0.16 * line(r - 0.82, 0.25)
        tone = tone - 0.42 * bump(lean - 0.004, dy + 0.02, 0.040, 0.095)
        flesh = tint(look.skin, 1.0, 0.90, 0.89)
        canvas.blend(box, ramp_colours(flesh, SHADOW, tone), canvas.cover((1.0 - r) * 0.06, 0.01))


def paint_body(canvas: Canvas, look: Look, head: Head) -> None:
    """Paint neck, shoulders and clothes."""
    one, fem = look.identity, look.feminine
    box = canvas.box(-1.0, 1.0, 0.28, 1.0)
    x, y = canvas.rulers(box)
    swing = 0.035 * look.yaw_sine
    neck = one("neck", 0.235, 0.265) - 0.040 * fem
    a = np.abs(x - swing * step(y, 0.9, 0.4))
    lx = look.light[0]

    slope = one("shoulder", 0.24, 0.34)
    flare = unit((y - 0.52) * (1.0 / 0.22))
    neck_edge = neck + 0.012 - 0.03 * step(y, 0.3, 0.5) + 0.09 * flare * flare * flare
    outer = a * (1.0 / (0.93 - 0.09 * fem))
    outer2 = outer * outer
    top = 0.635 + slope * np.maximum(a - neck, 0.0) + 0.16 * outer2 * outer2 * outer2
    torso = (y - top) * 0.95
    body = np.maximum(neck_edge - a, torso)
    jaw = head.chin + 0.01 - 0.55 * np.maximum(a - 0.10, 0.0)
    # The chin shades the neck; the shadow thins out downwards.
    under = 1.0 - 0.78 * step(y - jaw, 0.22, -0.03)
    round_neck = (x - swing) * (1.0 / (neck + 0.05))
    facing = 0.80 + 0.30 * round_neck * lx - 0.26 * np.minimum(round_neck * round_neck, 1.3)
    tone = facing * under + 0.04
    tendon = np.abs(a - 0.045 - 0.30 * np.maximum(0.80 - y, 0.0))
    tone = tone + 0.05 * line(tendon, 0.05) * step(y, 0.52, 0.66)
    hollow = bump(x - swing, y - 0.80, 0.07, 0.06)
    tone = tone - 0.16 * hollow - 0.10 * line(y - 0.80 - 0.16 * a, 0.03) * step(a, 0.06, 0.2)
    canvas.blend(box, ramp_colours(look.skin, SHADOW, tone), canvas.cover(body, 0.012))
    _paint_clothes(canvas, look, box, a, torso, neck)


def _round_neck(a: Field, y: Field, rx: float, ry: float) -> Field:
    """Return the signed distance from an oval neckline, positive on the cloth."""
    dx, dy = a * (1.0 / rx), (y - 0.64) * (1.0 / ry)
    return (np.sqrt(dx * dx + dy * dy) - 1.0) * min(rx, ry)


def _paint_clothes(
    canvas: Canvas, look: Look, box: Box, a: Field, torso: Field, neck: float
) -> None:
    """Paint one of six garments over the shoulders."""
    one = look.identity
    x, y = canvas.rulers(box)
    kind = int(one("cloth") * 6.0)
    light = one("cloth_light", 14.0, 82.0)
    hue = one("cloth_hue")
    colour = _dye(light, one("cloth_second", 3.0, 42.0), hue)
    if kind == 3:
        colour = _dye(one("cloth_light", 14.0, 40.0), one("cloth_second", 1.0, 14.0), 0.70)
    if kind == 0:
        opening = _round_neck(a, y, neck + 0.07, 0.155)
    elif kind == 1:
        opening = (a - (0.98 - y) * 0.78) * 0.78
    elif kind == 4:
        opening = y - 0.615 - 0.35 * a * a
    elif kind == 5:
        opening = _round_neck(a, y, neck + 0.17, 0.24)
    else:
        opening = (a - (0.90 - y) * 0.62) * 0.85
    cloth = np.minimum(torso + 0.022, opening)
    if kind == 4:
        cloth = np.minimum(np.maximum(torso + 0.022, neck + 0.05 - a), opening)
    lx = look.light[0]
    fold = noise_line(x * 3.2 + 1.4 * wave(y * 0.35 + 0.3 * a), one.table) - 0.5
    drape = noise_grid(x * 2.1 + 31.0, y * 2.6 + 2.0, one.table) - 0.5
    tone = 0.80 + 0.22 * lx * x - 0.22 * a * a + 0.22 * fold + 0.26 * drape
    tone = tone * (0.72 + 0.28 * step(torso, -0.02, 0.10)) * (0.82 + 0.18 * step(a, 0.1, 0.5))
    cover = canvas.cover(cloth, 0.010)
    # The garment shades the skin along its edge.
    canvas.shade(box, (0.62, 0.50, 0.48), unit(1.0 - np.abs(opening) * 22.0) * (1.0 - cover) * 0.8
                 * canvas.cover(torso))  # fmt: skip
    canvas.blend(box, ramp_colours(colour, (0.30, 0.28, 0.34), tone), cover)
    seam = line(opening - 0.028, 0.010) * cover
    if kind in (0, 1, 4, 5):
        canvas.shade(box, (0.72, 0.72, 0.75), 0.7 * seam)
    if kind == 4:
        ribs = wave(x * 22.0) * step(y, 0.80, 0.74) * cover
        canvas.shade(box, (0.80, 0.80, 0.82), 0.35 * unit(ribs))
    if kind in (2, 3):
        _paint_collar(canvas, look, box, a, tone, neck, kind == 3, colour)


def _paint_collar(
    canvas: Canvas,
    look: Look,
    box: Box,
    a: Field,
    tone: Field,
    neck: float,
    suit: bool,
    colour: Colour,
) -> None:
    """Paint a shirt collar, and under a suit the shirt, tie and lapels."""
    one = look.identity
    x, y = canvas.rulers(box)
    shirt = colour
    if suit:
        shirt = _dye(one("rim", 82.0, 96.0), 5.0, one("cloth_hue"))
        front = np.minimum((1.16 - y) * 0.42 - a, a - (0.80 - y) * 0.9) * 0.9
        front = np.minimum(front, y - 0.72)
        canvas.blend(box, ramp_colours(shirt, (0.45, 0.45, 0.52), tone), canvas.cover(front))
        if look.feminine < 0.55:
            tie = np.minimum(0.040 + 0.10 * (y - 0.80) - a, y - 0.765)
            silk = _dye(one("rim", 24.0, 48.0), 38.0, one("back_hue"))
            stripe = unit(4.0 * wave((x + y) * 9.0)) * 0.25
            canvas.blend(box, ramp_colours(silk, (0.4, 0.4, 0.4), tone + stripe),
                         canvas.cover(tie))  # fmt: skip
        lapel = (1.16 - y) * 0.42 - a
        canvas.shade(box, (0.45, 0.45, 0.48), 0.8 * line(lapel + 0.012, 0.022) * (y > 0.74))
        edge = line(a - 0.30 - 0.25 * (0.92 - y), 0.012) * step(y, 0.76, 0.80)
        canvas.shade(box, (0.60, 0.60, 0.62), 0.6 * edge)
    # Each flap: between the neck, a slanted outer edge and the front edge.
    inner = a - (0.835 - y) * 1.05
    outer = (neck + 0.062 - a) - 0.30 * (y - 0.70)
    flap = np.minimum(np.minimum(inner, outer), np.minimum(y - 0.60, 0.885 - y - 0.22 * a))
    shadow = np.minimum(np.minimum(inner, outer), 0.885 - y - 0.22 * a) + 0.022
    canvas.shade(box, (0.55, 0.53, 0.56), 0.55 * canvas.cover(shadow, 0.03) * (y > 0.62))
    lit = 0.60 + 0.35 * tone + 0.10 * look.light[0] * np.where(x > 0.0, 1.0, -1.0)
    lit = lit + 0.22 * step(flap, 0.0, 0.06) - 0.16 * step(y, 0.72, 0.62)
    canvas.blend(box, ramp_colours(shirt, (0.40, 0.40, 0.46), lit), canvas.cover(flap, 0.008))


def paint_glasses(canvas: Canvas, look: Look, head: Head) -> None:
    """Paint glasses on a face that wears them, as opaque as the attribute says."""
    worn = look.values["glasses"]
    if worn <= 0.0:
        return
    one = look.identity
    box = canvas.box(-0.60, 0.60, EYE_LEVEL - 0.22, EYE_LEVEL + 0.24)
    # Glasses sit in front of the face and so swing a little further than the skin.
    u = head.u[box] - 0.05 * look.yaw_sine
    v = head.y[box[0]] - EYE_LEVEL - 0.018
    a = np.abs(u)
    rx, ry = 0.138, 0.098 + 0.03 * one("frame")
    dx, dy = np.abs(a - head.eye_x - 0.008) * (1.0 / rx), np.abs(v) * (1.0 / ry)
    if one("frame") < 0.5:  # rectangular with round corners
        dx2, dy2 = dx * dx, dy * dy
        r = np.sqrt(np.sqrt(dx2 * dx2 + dy2 * dy2))
    else:
        r = np.sqrt(dx * dx + dy * dy)
    ring = (r - 1.0) * ry
    thick = 0.008 + 0.010 * one("frame_colour")
    frame = canvas.stroke(ring, thick)
    bridge = canvas.stroke(v + 0.030 - 1.2 * u * u, thick * 0.9) * step(a, head.eye_x - 0.10, 0.05)
    bridge = bridge * canvas.cover(ring, 0.01)
    limit = 0.95 * head.half
    arm = canvas.stroke(v + 0.045, thick) * (a > head.eye_x + rx * 0.9) * (a < limit + 0.03)
    arm = arm * canvas.cover(ring, 0.01) * (np.abs(head.across[box]) < 1.02)
    lens = canvas.cover(-ring, 0.01)
    canvas.shade(box, (0.90, 0.91, 0.93), 0.8 * worn * lens)
    glare = line(u * 0.8 + v - 0.03 - 0.05 * look.light[0], 0.045) * step(v, 0.06, -0.06)
    canvas.blend(box, (1.0, 1.0, 1.0), 0.16 * worn * lens * glare)
    drop = canvas.stroke(ring - 0.004 + 0.014 * (v > 0.0), thick) * (v > 0.0)
    canvas.shade(box, (0.6, 0.5, 0.5), 0.4 * worn * drop)
    metal = one("frame_colour") < 0.4
    colour = (0.60, 0.55, 0.46) if metal else tint(_dye(20.0, 14.0, one("rim")), 0.8, 0.8, 0.8)
    whole = np.maximum(np.maximum(frame, bridge), arm)
    canvas.blend(box, colour, 0.95 * worn * whole)
