"""Draw small line and bar charts as inline SVG: no scripts, colours from the page's style sheet."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from math import floor, log10

WIDTH, HEIGHT = 520, 232
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 22, 28

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis: its range, and its ticks with their labels."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]

    def to_fraction(self, value: float) -> float:
        """Return the position of a value along the axis, in [0, 1]."""
        span = self.high - self.low
        return min(max((value - self.low) / span, 0.0), 1.0) if span > 0 else 0.5


@dataclass(slots=True)
class Chart:
    """A chart being built; elements are drawn in the order in which they are added."""

    x: Axis
    y: Axis
    width: int = WIDTH
    _elements: list[str] = field(default_factory=list)

    def to_pixel_x(self, x: float) -> float:
        return _LEFT + self.x.to_fraction(x) * (self.width - _LEFT - _RIGHT)

    def to_pixel_y(self, y: float) -> float:
        return HEIGHT - _BOTTOM - self.y.to_fraction(y) * (HEIGHT - _TOP - _BOTTOM)

    def add_line(self, points: Sequence[Point], style: str) -> None:
        """Add a line through points; a single point becomes a dot."""
        if len(points) == 1:
            self.add_dot(points[0], style)
        elif points:
            self._elements.append(f'<polyline class="line {style}" points="{self._path_data(points)}"/>')

    def add_band(self, lower: Sequence[Point], upper: Sequence[Point], style: str) -> None:
        """Add the area between two lines."""
        if len(lower) > 1:
            self._elements.append(
                f'<polygon class="band {style}" points="{self._path_data([*lower, *reversed(upper)])}"/>'
            )

    def add_bar(self, left: float, right: float, height: float, style: str, title: str) -> None:
        """Add a bar from the bottom up."""
        x, width, top = self.to_pixel_x(left), self.to_pixel_x(right) - self.to_pixel_x(left), self.to_pixel_y(height)
        self._elements.append(
            f'<rect class="bar {style}" x="{x:.1f}" y="{top:.1f}" width="{max(width, 1):.1f}" '
            f'height="{max(HEIGHT - _BOTTOM - top, 0):.1f}" rx="1.5"><title>{escape(title)}</title></rect>'
        )

    def add_dot(self, point: Point, style: str, title: str = "", radius: float = 3.0) -> None:
        """Add a dot, with a title shown on hover."""
        self._elements.append(
            f'<circle class="dot {style}" cx="{self.to_pixel_x(point[0]):.1f}" cy="{self.to_pixel_y(point[1]):.1f}"'
            f' r="{radius}">'
            f"<title>{escape(title)}</title></circle>"
        )

    def add_rule(self, x: float, style: str, title: str) -> None:
        """Add a vertical line at an event, with a marker on top."""
        at = self.to_pixel_x(x)
        self._elements.append(
            f'<g class="rule {style}"><title>{escape(title)}</title>'
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP - 4}" y2="{HEIGHT - _BOTTOM}"/>'
            f'<circle cx="{at:.1f}" cy="{_TOP - 8}" r="4.5"/></g>'
        )

    def render(self, name: str, title: str, description: str) -> str:
        """Render the chart; `name` must be unique on the page."""
        return (
            f'<svg viewBox="0 0 {self.width} {HEIGHT}" role="img" aria-labelledby="{name}-t {name}-d">'
            f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(description)}</desc>'
            f"{self._render_grid()}{''.join(self._elements)}</svg>"
        )

    def _render_grid(self) -> str:
        parts = []
        for value, text in self.y.ticks:
            y = self.to_pixel_y(value)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{self.width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(
                f'<text class="tick" x="{_LEFT - 8}" y="{y + 3.5:.1f}" text-anchor="end">{escape(text)}</text>'
            )
        for value, text in self.x.ticks:
            x = self.to_pixel_x(value)
            parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 9}" text-anchor="middle">{escape(text)}</text>')
        return "".join(parts)

    def _path_data(self, points: Sequence[Point]) -> str:
        return " ".join(f"{self.to_pixel_x(x):.1f},{self.to_pixel_y(y):.1f}" for x, y in points)


def choose_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Return round numbers from the one at or below `low` to the one at or above `high`."""
    span = max(high - low, 1e-9)
    power = 10.0 ** floor(log10(span / about))
    step = next(power * unit for unit in (1, 2, 2.5, 5, 10) if power * unit * about >= span * 0.999)
    first = floor(low / step + 1e-9)
    marks = [first * step]
    while marks[-1] < high - step * 1e-6:
        marks.append((first + len(marks)) * step)
    return marks
