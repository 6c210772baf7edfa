"""Hair: the mass behind the head, and the cap, fringe and locks in front of it."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from hiresvae.data.embedded._face_canvas import Box, Canvas, ramp_colours
from hiresvae.data.embedded._face_head import CROWN, TEMPLE_LEVEL, Head
from hiresvae.data.embedded._face_maths import (
    Colour,
    Field,
    clamp,
    noise_field,
    noise_grid,
    noise_line,
    ramp,
    step,
    tint,
    unit,
    wave,
)
from hiresvae.data.embedded._face_traits import Look

_SWEPT, _SIDE, _FRINGE, _CURTAIN, _CURLY = range(5)
_SHADOW: Colour = (0.20, 0.16, 0.16)


class Hair:
    """The shape of the hair of one face, with the coordinates that its strands follow."""

    def __init__(self, canvas: Canvas, look: Look, head: Head) -> None:
        """Compute the fields of the hair on a canvas."""
        one = look.identity
        self.canvas, self.look, self.head = canvas, look, head
        length = clamp(look.values["hair_length"])
        self.style = min(int(one("hair_style") * 5.0), _CURLY)
        curly = self.style == _CURLY
        self.body = ramp(length, 0.0, 0.30)  # how far the hair stands off the head
        volume = one("hair_volume", 0.055, 0.095) + (0.055 if curly else 0.0)
        rise = 0.022 + volume * self.body
        wide = 0.012 + (0.75 * volume + 0.10 * length * one("hair_flare")) * self.body
        self.end = -0.04 + 1.22 * length
        self.top = CROWN - rise
        self.half = head.half + wide
        self.part = one("hair_part", -0.20, 0.20)
        side = self.half * (1.0 + max(one("hair_flare", -0.10, 0.16), 0.0) * 0.6) + 0.05
        self.box: Box = canvas.box(-side, side, self.top - 0.06, max(self.end, 0.06) + 0.10)
        x, y = canvas.rulers(self.box)
        # The back of the skull lies behind the axis and swings against the face.
        self.middle = -0.035 * look.yaw_sine

        up = np.maximum(TEMPLE_LEVEL - y, 0.0) * (1.0 / (TEMPLE_LEVEL - self.top))
        up2 = up * up
        outline = np.sqrt(np.maximum(1.0 - 0.80 * up2 - 0.20 * up2 * up2, 0.0))
        e = np.maximum(y - TEMPLE_LEVEL, 0.0) * (1.0 / max(self.end - TEMPLE_LEVEL, 0.03))
        e2 = e * e
        flare = one("hair_flare", -0.10, 0.16) * min(length * 2.0, 1.0)
        fall = np.sqrt(np.maximum(1.0 - e2 * e2 * e2, 0.0)) * (1.0 + flare * e * (1.0 - 0.4 * e2))
        self.width: Field = np.maximum(self.half * outline * fall, 1e-3)
        grow = np.maximum(outline, 0.16)
        curl = one("hair_curl")
        bend = 0.0 if curly else 0.035 * curl * self.body
        lead = wave(y * (1.6 + 1.2 * curl) + one("hair_line")) * step(y, -0.45, 0.25)
        origin = self.part * step(y, 0.10, -0.70)
        table = one.table
        drift = (0.02 + 0.07 * self.body) * (noise_grid(x * 3.0, y * 2.2 + 11.0, table) - 0.5)
        self.strand: Field = (x - self.middle - origin + bend * lead + drift) / (self.half * grow)
        fine = noise_line(self.strand * 31.0 + 7.0, table)
        jitter = noise_line(self.strand * 8.0 + 40.0, table)
        if curly:
            scale = 17.0
            warped = noise_field(x * scale + 0.0 * y, y * scale + 0.0 * x, table)
            rough = 0.075 * self.body * (warped - 0.45)
        else:
            warped = jitter
            rough = 0.022 * self.body * (jitter - 0.5) * step(y, -0.6, 0.3) - 0.0 * y
        self.warped = warped
        slope = np.minimum(1.0, 0.35 + 1.3 * outline)
        inside = (self.width - np.abs(x - self.middle)) * slope + rough * unit(outline * 2.0)
        tips = self.end + 0.10 * (jitter - 0.5) * (0.3 + length) - y
        # The crown stays whole: no tuft may come off where the outline closes.
        crown = y - self.top - 0.35 * np.abs(rough)
        self.inside: Field = np.minimum(np.minimum(inside, tips), crown)
        self._length, self._jitter, self._fine = length, jitter, fine

    @cached_property
    def opening(self) -> Field:
        """The signed distance from the opening for the face: below the hair line, between locks."""
        head, look = self.head, self.look
        one, fem = look.identity, look.feminine
        length, jitter = self._length, self._jitter
        y = self.canvas.y[self.box[0]]
        u = head.u[self.box]
        a = np.abs(u)
        recede = (1.0 - fem) * ramp(one("hair_line"), 0.55, 1.0)
        recede *= 0.35 + 0.65 * ramp(look.values["age"], 25.0, 60.0)
        line_y = -0.545 - 0.055 * recede
        corner = np.maximum(a - (0.20 - 0.03 * recede), 0.0)
        dome = np.maximum(a - 0.12, 0.0)
        hair_line = line_y + 0.42 * dome * dome + (4.2 - 1.6 * recede) * corner * corner
        hair_line = hair_line - 0.08 * recede * step(a, 0.08, 0.2) * step(a, 0.36, 0.22)
        hair_line = hair_line + self._fringe(u, length) * (1.0 - 0.8 * recede)
        hair_line = hair_line + 0.030 * self.body * (jitter - 0.5) + 0.018 * (self._fine - 0.5)
        # Locks hang in front of the ears from the temples down as the hair grows.
        # On the side that turns away they come into view sooner.
        away = np.where(u * look.yaw_sine > 0.0, 0.26 * abs(look.yaw_sine), 0.0)
        lock = (0.915 - away) * head.half + 0.015 * jitter
        sideburn = 0.02 + 0.05 * one("hair_line")
        reach = max(sideburn, self.end)
        lower_lock = lock + 0.10 * unit((y - 0.20) * 2.0) * one("hair_flare")
        gap = np.where(y < 0.1, lock, lower_lock) - a
        opening: Field = np.minimum(y - hair_line, np.maximum(gap, y - reach))
        return opening

    def _fringe(self, u: Field, length: float) -> Field:
        """Return how far below the hair line the fringe hangs."""
        drop = ramp(length, 0.04, 0.34)
        part = self.part * 0.8
        if self.style == _SIDE:
            away = (u - part) * (1.0 if part < 0.0 else -1.0)
            sweep = unit(away * (1.0 / 0.50) + 0.10)
            return drop * 0.30 * sweep * (1.35 - 0.55 * sweep)
        if self.style == _FRINGE:
            return drop * (0.275 - 0.4 * u * u)
        if self.style == _CURTAIN:
            off = np.abs(u - part)
            return drop * (0.62 * off + 0.02)
        return 0.0 * u

    def shade_on_face(self) -> Field:
        """Return the soft shadow (n, n) in [0, 1] that fringe and locks throw on the skin."""
        depth = 0.03 + 0.06 * self.body
        near = unit(1.0 - self.opening * (1.0 / depth))
        shade = np.zeros((self.canvas.n, self.canvas.n))
        shade[self.box] = near * near * (0.35 + 0.65 * self.body)
        return shade

    def paint_back(self) -> None:
        """Paint the mass of hair that neck and head will cover."""
        alpha = self.canvas.cover(self.inside, 0.014)
        tone = 0.30 + 0.26 * step(np.abs(self.strand), 0.72, 1.02)
        tone = tone * (0.72 + 0.56 * self._strands())
        base = self._base()
        self.canvas.blend(self.box, ramp_colours(base, _SHADOW, tone), alpha * self._density())

    def paint_front(self) -> None:
        """Paint cap, fringe and locks over head, ears and shoulders."""
        canvas, look = self.canvas, self.look
        inside = np.minimum(self.inside, -self.opening)
        x, y = canvas.rulers(self.box)
        strand = self.strand
        lx, ly, lz = look.light
        nx = (x - self.middle) / np.maximum(self.width, 0.12)
        nx = nx.clip(-1.0, 1.0)
        ny = -unit((TEMPLE_LEVEL - y) * (1.0 / (TEMPLE_LEVEL - self.top)))
        nz = np.sqrt(np.maximum(1.0 - 0.85 * nx * nx - 0.5 * ny * ny, 0.04))
        lit = nx * lx + ny * ly + nz * lz
        lit = lit.clip(0.0, 2.0)
        tone = 0.30 + 0.62 * lit
        # Hair lies deep next to the face and in the locks' inner edge.
        tone *= 0.66 + 0.34 * step(inside, 0.0, 0.085)
        grain = self._strands()
        # Single strands stick out, so that the edge is wispy instead of cut.
        alpha = canvas.cover(inside + 0.020 * (grain - 0.5), 0.024) * self._density()
        contrast = 0.62 if self.style != _CURLY else 0.95
        contrast *= 0.75 if canvas.n < 100 else 1.0
        tone *= 1.0 + contrast * (grain - 0.5)
        # Light is mirrored along a band across the strands.
        crest = CROWN + 0.185 + 0.20 * strand * strand - 0.12 * lx * strand
        band = (y - crest + 0.10 * (grain - 0.5)) * (1.0 / 0.15)
        gloss = unit(1.0 - band * band)
        second = (y - 0.16 - 0.05 * strand + 0.16 * (grain - 0.5)) * (1.0 / 0.22)
        gloss = gloss + 0.45 * unit(1.0 - second * second) * step(y, -0.1, 0.1)
        gloss *= (0.55 + 0.9 * grain) * (0.25 + 0.75 * self.body) * lit
        colours = ramp_colours(self._base(), _SHADOW, np.minimum(tone, 1.25))
        sheen = tint(look.hair, 0.42, 0.42, 0.42)
        power = 0.30 if self.style == _CURLY else 0.80
        for channel in range(3):
            colours[channel] += gloss * ((0.05 + sheen[channel]) * power)
        canvas.blend(self.box, colours, alpha)

    def _base(self) -> Colour:
        """Return the colour of the hair in full light."""
        return tint(self.look.hair, 1.08, 1.08, 1.08)

    def _density(self) -> float:
        """Return the opacity of the hair: cropped hair lets the scalp show."""
        return 0.72 + 0.28 * ramp(self.look.values["hair_length"], 0.0, 0.12)

    def _strands(self) -> Field:
        """Return the texture of strands (or curls) in [0, 1]."""
        table, strand = self.look.identity.table, self.strand
        if self.style == _CURLY:
            grain = self.warped
            if self.canvas.n >= 120:
                x, y = self.canvas.rulers(self.box)
                fine = noise_field(x * 41.0 + 2.0 * grain, y * 41.0 + 2.0 * grain, table)
                grain = 0.55 * grain + 0.45 * fine
            return grain
        grain = noise_line(strand * 21.0, table)
        if self.canvas.n >= 100:  # finer strands would flicker on a coarse grid
            grain = 0.55 * grain + 0.45 * noise_line(strand * 47.0 + 9.0, table)
        if self.canvas.n >= 250:
            fine = noise_line(strand * 130.0 + 5.0 * self.canvas.y[self.box[0]], table)
            grain = 0.80 * grain + 0.20 * fine
        return grain
