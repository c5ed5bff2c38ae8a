"""One chart as inline SVG, by pygal: without script, style or anything that depends on the time or on chance.

Each is drawn twice, for a phone and for a desk, because an SVG that is scaled down has letters that nobody can read.
Colours are classes that the page's style sheet fills, light and dark.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup

SVG = "{http://www.w3.org/2000/svg}"
LABEL_SIZE = 12
DIGIT_WIDTH = 7.5
"""Of a label of that size, in pixels, with some air."""

Values = Sequence[int | None]


@dataclass(frozen=True, slots=True)
class Size:
    name: str
    width: int


NARROW, WIDE = Size("narrow", 340), Size("wide", 576)


@dataclass(frozen=True, slots=True)
class Chart:
    """Stacked bars: `series` are (class, one value for each label). `told` is the description for who cannot see it.

    `name` is unique on the page. Only words of ours go in, no text from outside.
    """

    name: str
    title: str
    told: str
    labels: Sequence[str]
    series: Sequence[tuple[str, Values]]
    formatter: Callable[[float], str]
    ticks: Sequence[int] | None = None


def draw_rows(chart: Chart) -> tuple[Markup, ...]:
    """Horizontal bars, the first label at the top; one drawing per size."""
    return tuple(rows(chart, size) for size in (NARROW, WIDE))


def draw_columns(chart: Chart) -> tuple[Markup, ...]:
    """Vertical bars, from left to right; every seventh label is written, counted from the last."""
    return tuple(columns(chart, size) for size in (NARROW, WIDE))


def rows(chart: Chart, size: Size) -> Markup:
    made = pygal().HorizontalStackedBar(
        **common(chart, size, height=54 + 30 * len(chart.labels)),
        max_scale=2 if size is NARROW else scale(chart, size),
        min_scale=1,
    )
    made.x_labels = list(reversed(chart.labels))
    for _, values in chart.series:
        made.add("", list(reversed(values)))
    return finished(made, chart, size)


def scale(chart: Chart, size: Size) -> int:
    """So many steps of the axis that the longest of its labels do not run into each other; at most 6."""
    ends = [
        sum(value or 0 for value in bar) for bar in zip(*(values for _, values in chart.series), strict=True)
    ]
    longest = max(len(chart.formatter(end)) for end in [*ends, 0])
    bars = size.width - DIGIT_WIDTH * max(map(len, chart.labels))
    return max(1, min(6, int(bars / (DIGIT_WIDTH * (longest + 1)))))


def columns(chart: Chart, size: Size) -> Markup:
    made = pygal().StackedBar(**common(chart, size, height=180), show_minor_x_labels=False)
    made.x_labels = list(chart.labels)
    made.x_labels_major = list(chart.labels)[:: -14 if size is NARROW else -7]
    for _, values in chart.series:
        made.add("", list(values))
    return finished(made, chart, size)


def common(chart: Chart, size: Size, height: int) -> dict[str, Any]:
    return {
        "width": size.width,
        "height": height,
        "margin": 4,
        "margin_right": 24,
        "spacing": 8,
        "js": [],
        "css": [],
        "no_prefix": True,
        "show_legend": False,
        "print_zeroes": False,
        "truncate_label": -1,
        "value_formatter": chart.formatter,
        "y_labels": chart.ticks,
        "style": pygal().style.Style(label_font_size=LABEL_SIZE, major_label_font_size=LABEL_SIZE),
    }


def pygal() -> ModuleType:
    """The library, loaded when the first plot is drawn: it takes a third of a second.

    It leaves a finder of an old kind on sys.meta_path, for plugins that we do not have, about which Python 3.11 warns
    at each import that fails anywhere; it is taken off again.
    """
    import pygal as library  # type: ignore[import-untyped]

    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]
    return library  # type: ignore[no-any-return]


def finished(made: Any, chart: Chart, size: Size) -> Markup:
    """As SVG for the page, with a title and a description, and without what pygal adds for its script."""
    root: ElementTree.Element = made.render_tree()
    strip(root)
    classes = {f"serie-{index}": look for index, (look, _) in enumerate(chart.series)}
    for element in root.iter():
        for word in element.get("class", "").split():
            if word in classes:
                element.set("class", f"series {classes[word]}")
    describe(root, chart, f"{chart.name}-{size.name}")
    root.set("class", f"chart {size.name}")
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 - made by ElementTree, which escapes


def describe(root: ElementTree.Element, chart: Chart, name: str) -> None:
    root.attrib.pop("id", None)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-told")
    title = ElementTree.Element("title", id=f"{name}-title")
    title.text = chart.title
    told = ElementTree.Element("desc", id=f"{name}-told")
    told.text = chart.told
    root[:0] = [title, told]


UNWANTED = {"defs", "script", "style", "title", "desc"}
UNWANTED_CLASSES = ("overlay", "text-overlay", "tooltip-overlay", "titles", "background")


def strip(element: ElementTree.Element) -> None:
    for child in list(element):
        if is_unwanted(child):
            element.remove(child)
        else:
            strip(child)


def is_unwanted(child: ElementTree.Element) -> bool:
    if not isinstance(child.tag, str):  # a comment, which has the day in it
        return True
    tag = child.tag.removeprefix(SVG)
    words = child.get("class", "").split()
    empty_bar = tag == "rect" and not (float(child.get("width", 0)) and float(child.get("height", 0)))
    return tag in UNWANTED or empty_bar or any(word in UNWANTED_CLASSES for word in words)
