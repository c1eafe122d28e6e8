"""Small pictures as SVG text: bars, and lines or points on logarithmic axes."""

import math
from html import escape

COLOURS = {"fastopt numba": "#12936b", "fastopt c": "#1f9bcf", "NumPy": "#e0a100", "torch": "#d1495b",
           "scikit-learn": "#8e5ea2", "optax": "#6b705c", "roof": "#7a828a", "numeric": "#b08968"}  # fmt: skip
_FONT = 'font-family="system-ui,sans-serif" font-size="12"'


def colour(name):
    """A contestant's colour; the first of COLOURS that its name starts with."""
    return next((c for key, c in COLOURS.items() if name.startswith(key)), "#888888")


def bars(rows, width=800):
    """Horizontal bars: rows of (name, length, text at its end)."""
    longest = max((length for _, length, _ in rows), default=1) or 1
    left, row_height = 12 + 7 * max((len(name) for name, _, _ in rows), default=0), 20
    room = width - left - 8 - 7 * max((len(text) for _, _, text in rows), default=0)
    parts = []
    for i, (name, length, text) in enumerate(rows):
        y, w = i * row_height, max(1.0, room * length / longest)
        parts.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<rect x="{left}" y="{y + 3}" width="{w:.1f}" height="14" rx="2" fill="{colour(name)}"/>'
        )
        parts.append(f'<text x="{left + w + 6:.1f}" y="{y + 14}" class="soft">{escape(text)}</text>')
    return _svg(width, len(rows) * row_height + 4, parts)


class LogLog:
    """A plot with two logarithmic axes that grows by lines and points."""

    def __init__(self, x, y, x_label, y_label, width=800, height=420):
        self.width, self.height = width, height
        self.box = (64, 16, width - 20, height - 46)  # left, top, right, bottom
        self.x, self.y = _decades(x), _decades(y)
        self.parts = []
        self._axes(x_label, y_label)

    def place(self, x, y):
        """Pixels of a point, kept inside the axes."""
        left, top, right, bottom = self.box
        u, v = (_share(value, span) for value, span in ((x, self.x), (y, self.y)))
        return left + u * (right - left), bottom - v * (bottom - top)

    def line(self, points, colour, dashed=False, dots=False):
        places = [self.place(*point) for point in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        if dots:
            self.parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]

    def point(self, x, y, colour, title):
        u, v = self.place(x, y)
        title = f"<title>{escape(title)}</title>"
        self.parts.append(
            f'<circle cx="{u:.1f}" cy="{v:.1f}" r="5" fill="{colour}" fill-opacity=".8">{title}</circle>'
        )

    def text(self, x, y, text, dy=-6, anchor="start"):
        u, v = self.place(x, y)
        self.parts.append(f'<text x="{u:.1f}" y="{v + dy:.1f}" text-anchor="{anchor}">{escape(text)}</text>')

    def legend(self, entries, row=0):
        """entries: (text, colour), below each other in the upper left corner."""
        for i, (text, fill) in enumerate(entries):
            y = self.box[1] + 10 + 17 * (row + i)
            self.parts.append(
                f'<rect x="{self.box[0] + 10}" y="{y - 9}" width="10" height="10" fill="{fill}"/>'
            )
            self.parts.append(f'<text x="{self.box[0] + 26}" y="{y}">{escape(text)}</text>')

    def svg(self):
        return _svg(self.width, self.height, self.parts)

    def _axes(self, x_label, y_label):
        left, top, right, bottom = self.box
        for k in range(self.x[0], self.x[1] + 1):
            u, _ = self.place(10.0**k, 10.0 ** self.y[0])
            self.parts.append(f'<path d="M{u:.1f} {top}V{bottom}" class="grid"/>')
            self.parts.append(f'<text x="{u:.1f}" y="{bottom + 16}" text-anchor="middle">{_power(k)}</text>')
        for k in range(self.y[0], self.y[1] + 1):
            _, v = self.place(10.0 ** self.x[0], 10.0**k)
            self.parts.append(f'<path d="M{left} {v:.1f}H{right}" class="grid"/>')
            self.parts.append(f'<text x="{left - 6}" y="{v + 4:.1f}" text-anchor="end">{_power(k)}</text>')
        middle = (left + right) / 2
        self.parts.append(
            f'<text x="{middle}" y="{bottom + 36}" text-anchor="middle">{escape(x_label)}</text>'
        )
        turn = f'transform="rotate(-90 14 {(top + bottom) / 2})"'
        self.parts.append(
            f'<text x="14" y="{(top + bottom) / 2}" text-anchor="middle" {turn}>{escape(y_label)}</text>'
        )


def _decades(values):
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _share(value, span):
    return (min(max(math.log10(value), span[0]), span[1]) - span[0]) / (span[1] - span[0])


def _power(k):
    return f"{10.0**k:,.0f}" if 0 <= k < 5 else f"10<tspan dy='-5' font-size='9'>{k}</tspan>"


def _svg(width, height, parts):
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" {_FONT}>{"".join(parts)}</svg>'
