"""Small line and bar charts as inline SVG: no scripts, colours from the page's style sheet."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from math import floor, log10

WIDTH, HEIGHT = 520, 232
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 22, 28

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: its range, and the marks on it with their labels."""

    low: float
    high: float
    marks: Sequence[tuple[float, str]]

    def share(self, value: float) -> float:
        """How far along the axis a value lies, in [0, 1]."""
        span = self.high - self.low
        return min(max((value - self.low) / span, 0.0), 1.0) if span > 0 else 0.5


@dataclass(slots=True)
class Chart:
    """A chart in the making; marks are drawn in the order in which they are added."""

    x: Axis
    y: Axis
    width: int = WIDTH
    _marks: list[str] = field(default_factory=list)

    def px(self, x: float) -> float:
        return _LEFT + self.x.share(x) * (self.width - _LEFT - _RIGHT)

    def py(self, y: float) -> float:
        return HEIGHT - _BOTTOM - self.y.share(y) * (HEIGHT - _TOP - _BOTTOM)

    def line(self, points: Sequence[Point], style: str) -> None:
        """A line through points; a single point becomes a dot."""
        if len(points) == 1:
            self.dot(points[0], style)
        elif points:
            self._marks.append(f'<polyline class="line {style}" points="{self._path(points)}"/>')

    def band(self, lower: Sequence[Point], upper: Sequence[Point], style: str) -> None:
        """The area between two lines."""
        if len(lower) > 1:
            self._marks.append(f'<polygon class="band {style}" points="{self._path([*lower, *reversed(upper)])}"/>')

    def bar(self, left: float, right: float, height: float, style: str, title: str) -> None:
        """A bar from the bottom up."""
        x, width, top = self.px(left), self.px(right) - self.px(left), self.py(height)
        self._marks.append(
            f'<rect class="bar {style}" x="{x:.1f}" y="{top:.1f}" width="{max(width, 1):.1f}" '
            f'height="{max(HEIGHT - _BOTTOM - top, 0):.1f}" rx="1.5"><title>{escape(title)}</title></rect>'
        )

    def dot(self, point: Point, style: str, title: str = "", radius: float = 3.0) -> None:
        """A dot, with what is said when it is pointed at."""
        self._marks.append(
            f'<circle class="dot {style}" cx="{self.px(point[0]):.1f}" cy="{self.py(point[1]):.1f}" r="{radius}">'
            f"<title>{escape(title)}</title></circle>"
        )

    def rule(self, x: float, style: str, title: str) -> None:
        """A vertical line where something happened, with a mark on top."""
        at = self.px(x)
        self._marks.append(
            f'<g class="rule {style}"><title>{escape(title)}</title>'
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP - 4}" y2="{HEIGHT - _BOTTOM}"/>'
            f'<circle cx="{at:.1f}" cy="{_TOP - 8}" r="4.5"/></g>'
        )

    def svg(self, name: str, title: str, description: str) -> str:
        """The chart; `name` is unique on the page."""
        return (
            f'<svg viewBox="0 0 {self.width} {HEIGHT}" role="img" aria-labelledby="{name}-t {name}-d">'
            f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(description)}</desc>'
            f"{self._grid()}{''.join(self._marks)}</svg>"
        )

    def _grid(self) -> str:
        parts = []
        for value, text in self.y.marks:
            y = self.py(value)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{self.width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(
                f'<text class="tick" x="{_LEFT - 8}" y="{y + 3.5:.1f}" text-anchor="end">{escape(text)}</text>'
            )
        for value, text in self.x.marks:
            x = self.px(value)
            parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 9}" text-anchor="middle">{escape(text)}</text>')
        return "".join(parts)

    def _path(self, points: Sequence[Point]) -> str:
        return " ".join(f"{self.px(x):.1f},{self.py(y):.1f}" for x, y in points)


def round_marks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers from the one at or below `low` to the one at or above `high`."""
    span = max(high - low, 1e-9)
    power = 10.0 ** floor(log10(span / about))
    step = next(power * unit for unit in (1, 2, 2.5, 5, 10) if power * unit * about >= span * 0.999)
    first = floor(low / step + 1e-9)
    marks = [first * step]
    while marks[-1] < high - step * 1e-6:
        marks.append((first + len(marks)) * step)
    return marks
