"""The three plots of the page: provider to ledger, findings by kind and age, the last nights."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from models.money import exponent, format_minor
from tasks.reconciliation.report.drawing import Chart, Values, draw_columns, draw_rows
from tasks.reconciliation.report.facts import Night
from tasks.reconciliation.report.summary import AGES, KindSummary
from tasks.reconciliation.report.waterfall import LOOKS, Bar
from tasks.reconciliation.report.words import KINDS

ZOOM_SHARE = 0.2
"""Steps that take less than this share of the totals are drawn from an axis that does not start at zero."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure's drawings, one per size, and what is to be said about the axis."""

    drawings: tuple[Markup, ...]
    note: str = ""


def plot_waterfall(bars: Sequence[Bar], currency: str) -> Plot:
    """The totals and the steps between, top down."""
    start = axis_start(bars)
    whole = span(bars) >= 100 * 10 ** exponent(currency)
    chart = Chart(
        name=f"waterfall-{currency}",
        title=f"From the provider's total to the ledger's in {currency}",
        told="; ".join(f"{bar.title} {format_minor(bar.amount_minor, currency)}" for bar in bars),
        labels=[bar.title for bar in bars],
        series=waterfall_series(bars, start),
        formatter=lambda value: axis_label(round(value) + start, currency, whole=whole),
    )
    note = f"The axis starts at {format_minor(start, currency)}, so that the steps can be seen."
    return Plot(draw_rows(chart), note if start else "")


def waterfall_series(bars: Sequence[Bar], start: int) -> list[tuple[str, Values]]:
    """The invisible ground, then each look in two parts: what of a bar lies above zero, and what below."""
    series: list[tuple[str, Values]] = [("ground", [ground(bar, start) for bar in bars])]
    series.extend(
        (look, [part(bar, start) if bar.look == look else None for bar in bars])
        for look in LOOKS
        for part in (above, below)
    )
    return series


def axis_start(bars: Sequence[Bar]) -> int:
    """0, or a level near the totals when the steps would be too thin to see beside them."""
    levels = [bar.to_minor for bar in bars]
    low, high = min(levels), max(levels)
    if low <= 0 or high == low or (high - low) > high * ZOOM_SHARE:
        return 0
    step: int = 10 ** (len(str(high - low)) - 1)
    return max(0, (low - (high - low)) // step * step)


def span(bars: Sequence[Bar]) -> int:
    """How far the levels lie apart; of totals alone, how high they are."""
    levels = [bar.to_minor for bar in bars]
    return max(levels) - min(levels) or abs(levels[0])


def axis_label(amount_minor: int, currency: str, *, whole: bool) -> str:
    """The amount without its code, and without decimals where the axis is about hundreds."""
    text = format_minor(amount_minor, currency).removesuffix(f" {currency}").replace("-", "\u2212")
    return text.partition(".")[0] if whole else text


def ground(bar: Bar, start: int) -> int:
    """The invisible bar below (left of) this one; 0 for a total and for a bar that crosses zero."""
    low, high = ends(bar, start)
    if bar.look == "total" or low <= 0 <= high:
        return 0
    return low if low > 0 else high


def above(bar: Bar, start: int) -> int:
    low, high = ends(bar, start)
    return max(high, 0) - max(low, 0)


def below(bar: Bar, start: int) -> int:
    low, high = ends(bar, start)
    return min(low, 0) - min(high, 0)


def ends(bar: Bar, start: int) -> tuple[int, int]:
    """Lower and higher end on the axis as drawn; a total begins where the axis does."""
    first = 0 if bar.look == "total" else bar.from_minor - start
    last = bar.to_minor - start
    return min(first, last), max(first, last)


def plot_kinds(summaries: Sequence[KindSummary]) -> Plot:
    """Open findings by kind, and by age within."""
    chart = Chart(
        name="kinds",
        title="Open findings by kind and age",
        told="; ".join(f"{KINDS[one.kind].title} {one.findings}" for one in summaries),
        labels=[KINDS[one.kind].title for one in summaries],
        series=[(f"age-{age}", [one.by_age[age] for one in summaries]) for age in range(len(AGES))],
        formatter=count_label,
        ticks=whole_ticks(max(one.findings for one in summaries)),
    )
    return Plot(draw_rows(chart))


def plot_nights(nights: Sequence[Night]) -> Plot:
    """Open findings, night by night; a night that concluded nothing is a pale bar of full height."""
    top = max([night.findings_open for night in nights if night.state == "done"], default=0) or 1
    chart = Chart(
        name="nights",
        title="Open findings in the last nights",
        told="; ".join(f"{night.business_date}: {told_night(night)}" for night in nights),
        labels=[f"{night.business_date:%d %b}" for night in nights],
        series=[
            ("night", [night.findings_open if night.state == "done" else None for night in nights]),
            ("void", [None if night.state == "done" else top for night in nights]),
        ],
        formatter=count_label,
        ticks=whole_ticks(top),
    )
    return Plot(draw_columns(chart))


def count_label(value: float) -> str:
    return f"{value:,.0f}"


def told_night(night: Night) -> str:
    return f"{night.findings_open} open" if night.state == "done" else night.state


def whole_ticks(highest: int) -> list[int]:
    """0 and up to four round numbers up to `highest`: counts have no fractions."""
    step = next(
        base * 10**power for power in range(20) for base in (1, 2, 5) if base * 10**power * 4 >= highest
    )
    return list(range(0, highest + step, step))
