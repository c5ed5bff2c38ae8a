"""The plots: SVG that says in words what it shows, and bars that are as long as their money."""

import importlib
import sys
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from tasks.reconciliation.report import CurrencyTotals
from tasks.reconciliation.report.drawing import SVG, pygal
from tasks.reconciliation.report.facts import Both
from tasks.reconciliation.report.plots import (
    Plot,
    axis_label,
    axis_start,
    plot_kinds,
    plot_nights,
    plot_waterfall,
    whole_ticks,
)
from tasks.reconciliation.report.summary import kinds
from tasks.reconciliation.report.waterfall import Bar, waterfall
from tests.unit.reconciliation.report import nights


def bars(*levels: int) -> tuple[Bar, ...]:
    """Provider's total, steps from level to level, ledger's total."""
    steps = [
        Bar("Step", before, after, "rise" if after > before else "fall") for before, after in pairwise(levels)
    ]
    return (
        Bar("Provider's total", 0, levels[0], "total"),
        *steps,
        Bar("Ledger's total", 0, levels[-1], "total"),
    )


def lengths(plot: Plot, look: str) -> list[float]:
    """The lengths of the bars of one look, in the wide drawing, from the top."""
    root = ElementTree.fromstring(plot.drawings[1])  # noqa: S314 - our own
    found = [
        (float(rect.attrib["y"]), float(rect.attrib["width"]))
        for series in root.iter(f"{SVG}g")
        if series.get("class") == f"series {look}"
        for rect in series.iter(f"{SVG}rect")
    ]
    return [width for _, width in sorted(found)]


PLOTS = (
    plot_waterfall(waterfall(nights.bad().totals[0]), "EUR"),
    plot_waterfall(bars(0, 0), "EUR"),
    plot_waterfall(bars(2**62, -(2**62)), "BHD"),
    plot_kinds(kinds(nights.bad())),
    plot_nights(nights.bad().history),
    plot_nights(nights.failed().history[-1:]),
)


@pytest.mark.parametrize("plot", PLOTS)
def test_each_drawing_is_xml_with_a_title_and_a_description(plot: Plot) -> None:
    assert len(plot.drawings) == 2
    for drawing in plot.drawings:
        root = ElementTree.fromstring(drawing)  # noqa: S314 - our own
        title, described = root[0], root[1]
        assert (root.tag, title.tag, described.tag) == (f"{SVG}svg", f"{SVG}title", f"{SVG}desc")
        assert root.attrib["aria-labelledby"] == f"{title.attrib['id']} {described.attrib['id']}"
        assert title.text
        assert described.text
        tags = {element.tag.removeprefix(SVG) for element in root.iter()}
        assert tags <= {"svg", "title", "desc", "g", "path", "text", "rect"}
        assert not [element for element in root.iter() if "style" in element.attrib]
        assert "nan" not in drawing


def test_bars_are_as_long_as_their_money() -> None:
    plot = plot_waterfall(bars(1_000, 600, 800), "EUR")
    (whole, ledger), (fall,), (rise,) = (lengths(plot, look) for look in ("total", "fall", "rise"))
    assert fall / whole == pytest.approx(0.4)
    assert rise / whole == pytest.approx(0.2)
    assert ledger / whole == pytest.approx(0.8)


def test_a_bar_that_crosses_zero_is_drawn_on_both_sides() -> None:
    plot = plot_waterfall(bars(1_000, -500), "EUR")
    (above, below), (whole, ledger) = lengths(plot, "fall"), lengths(plot, "total")
    assert {round(above / whole, 3), round(below / whole, 3)} == {1.0, 0.5}
    assert ledger / whole == pytest.approx(0.5)


def test_steps_that_are_small_beside_the_totals_can_be_seen() -> None:
    plot = plot_waterfall(bars(91_000_000, 91_000_500), "EUR")
    assert plot.note.startswith("The axis starts at 909,99")
    assert lengths(plot, "rise")[0] > 50


@pytest.mark.parametrize(
    ("levels", "start"),
    [((1_000, 600), 0), ((-5, -4), 0), ((5, -4), 0), ((0, 0), 0), ((7, 7), 0), ((1_000, 1_010), 990), ((10, 11), 9)],
)  # fmt: skip
def test_where_the_axis_starts(levels: tuple[int, ...], start: int) -> None:
    assert axis_start(bars(*levels)) == start


def test_the_axis_is_labelled_in_major_units() -> None:
    assert axis_label(-123_456, "EUR", whole=True) == "\u22121,234"
    assert axis_label(123_456, "EUR", whole=False) == "1,234.56"
    assert axis_label(123_456, "JPY", whole=False) == "123,456"


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [(1, [0, 1]), (3, [0, 1, 2, 3]), (33, [0, 10, 20, 30, 40]), (2_000, [0, 500, 1_000, 1_500, 2_000])],
)
def test_counts_have_whole_ticks(highest: int, ticks: list[int]) -> None:
    assert whole_ticks(highest) == ticks


def test_a_night_without_a_result_is_not_a_night_without_findings() -> None:
    drawing = plot_nights(nights.truncated().history).drawings[1]
    assert "2026-11-20: truncated" in drawing
    assert "2026-11-02: failed" in drawing


def test_nothing_to_show_is_no_step() -> None:
    totals = CurrencyTotals("EUR", Both(5, 5, 1, 1), findings={"fee_mismatch": Both(5, 5, 1, 1)})
    assert [bar.look for bar in waterfall(totals)] == ["total", "total"]


def test_the_library_leaves_imports_as_they_were() -> None:
    pygal()
    assert not [finder for finder in sys.meta_path if type(finder).__module__ == "pygal"]
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("a_module_that_nobody_has")


@pytest.mark.parametrize("currency", ["EUR", "JPY", "BHD"])
@pytest.mark.parametrize("digits", range(1, 19))
def test_labels_of_the_axis_do_not_run_into_each_other(digits: int, currency: str) -> None:
    total = 9 * 10 ** (digits - 1)
    for plot in (plot_waterfall(bars(total, 0), currency), plot_waterfall(bars(total, -total), currency)):
        found = [
            (float(text.attrib["x"]), text.text or "")
            for axis in ElementTree.fromstring(plot.drawings[1]).iter(f"{SVG}g")  # noqa: S314 - our own
            if axis.get("class", "").startswith("axis x")
            for text in axis.iter(f"{SVG}text")
        ]
        assert len(found) >= 2
        for (left, first), (right, second) in pairwise(sorted(found)):
            assert right - left > 6.5 * (len(first) + len(second)) / 2, found
