"""Bars as SVG: a few lines instead of a plotting library, in the colours of either theme."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LABELS, ROW, BAR, TOP = 760, 300, 22, 12, 34


@dataclass(frozen=True, slots=True)
class Theme:
    name: str
    text: str
    faint: str
    bar: str
    ours: str
    mark: str


THEMES = (
    Theme("light", "#24292f", "#d0d7de", "#8c96a3", "#3f51b5", "#b3261e"),
    Theme("dark", "#e6e8ee", "#3d4354", "#7d8798", "#9fa8ff", "#ff8a80"),
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; *limit* is a mark across it, a bar without *value* is a heading."""

    label: str
    value: float | None = None
    is_ours: bool = False
    limit: float | None = None


def steps_to(top: float) -> Sequence[float]:
    """Return a few round numbers from 0 to *top* or just beyond."""
    size = next(
        step
        for power in range(-2, 6)
        for step in (10.0**power, 2 * 10.0**power, 5 * 10.0**power)
        if top / step <= 8
    )
    return [round(number * size, 2) for number in range(int(top / size) + 2)]


def svg(title: str, bars: Sequence[Bar], theme: Theme) -> str:
    """Return *bars* below each other, in units of B from 0 on."""
    steps = steps_to(max(max(bar.value or 0, bar.limit or 0) for bar in bars))
    scale = (WIDTH - LABELS - 56) / steps[-1]
    bottom = TOP + ROW * len(bars)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 24}" '
        f'role="img" font-family="sans-serif" font-size="12" fill="{theme.text}">',
        f"<title>{escape(title)}</title>",
        f'<text x="0" y="16" font-size="14" font-weight="bold">{escape(title)}</text>',
    ]
    for step in steps:
        x = LABELS + step * scale
        parts.append(f'<path d="M{x:.1f} {TOP - 4}V{bottom}" stroke="{theme.faint}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{step:g}</text>')
    for number, bar in enumerate(bars):
        parts += bar_parts(bar, TOP + number * ROW, scale, theme)
    return "\n".join([*parts, "</svg>"]) + "\n"


def bar_parts(bar: Bar, y: float, scale: float, theme: Theme) -> list[str]:
    text_y = y + BAR - 1
    if bar.value is None:
        return [f'<text x="0" y="{text_y}" font-weight="bold">{escape(bar.label)}</text>']
    long = max(bar.value, 0) * scale
    colour = theme.ours if bar.is_ours else theme.bar
    parts = [
        f'<text x="{LABELS - 8}" y="{text_y}" text-anchor="end">{escape(bar.label)}</text>',
        f'<rect x="{LABELS}" y="{y}" width="{long:.1f}" height="{BAR}" fill="{colour}"/>',
        f'<text x="{LABELS + long + 6:.1f}" y="{text_y}">{round(bar.value, 2) + 0:.2f}</text>',
    ]
    if bar.limit is not None:
        x = LABELS + bar.limit * scale
        stroke = f'stroke="{theme.mark}" stroke-width="2"'
        parts.append(f'<path d="M{x:.1f} {y - 3}v{BAR + 6}" {stroke}/>')
    return parts
