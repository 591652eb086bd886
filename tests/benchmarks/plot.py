"""The plot of the README: how many tasks of a service are in service while it is recycled."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pygal  # type: ignore[import-untyped]
from pygal.style import Style  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLOURS: Final = ("#1a6b2f", "#b00020", "#1d4f91", "#8a5a00")

CHART_ID: Final = "in-service"
"""In place of a random one: the same figures make the same file."""

APART: Final = 0.06
"""Between two lines of the same count, so that both can be seen."""


def in_service_plot(lines: Mapping[str, Sequence[tuple[float, int]]], *, title: str) -> str:
    """Return an SVG of lines of (seconds, tasks in service), each held until the next point."""
    highest = max(count for points in lines.values() for _, count in points)
    style = Style(
        background="white",
        plot_background="white",
        colors=COLOURS,
        font_family="sans-serif",
        stroke_width=3,
        guide_stroke_color="#cccccc",
        major_guide_stroke_color="#cccccc",
        opacity=1,
        title_font_size=18,
        label_font_size=13,
        legend_font_size=14,
    )
    chart = pygal.XY(
        style=style,
        title=title,
        x_title="seconds",
        y_title="tasks in service",
        width=900,
        height=420,
        show_dots=False,
        legend_at_bottom=True,
        legend_at_bottom_columns=4,
        range=(0, highest + 0.5),
        y_labels=list(range(highest + 1)),
        js=(),
        disable_xml_declaration=True,
        pretty_print=False,
    )
    for number, (name, points) in enumerate(lines.items()):
        steps = [(at, count + number * APART) for at, count in _steps(points)]
        chart.add(name, steps)
    chart.uuid = CHART_ID
    drawing: str = chart.render()
    # pygal signs what it draws with its version and the day.
    return re.sub(r"<!--.*?-->", "", drawing)


def _steps(points: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """Return the corners of a line of steps."""
    corners = [points[0]]
    for (_, before), (at, count) in pairwise(points):
        corners += [(at, before), (at, count)]
    return corners
