"""The page: one HTML file that needs nothing else, no network and no script, light and dark, narrow, wide and printed.

All text is escaped by Jinja, after what cannot be seen was made visible; the Content-Security-Policy allows the one
style sheet by its digest and nothing else, so that a mistake here would still run nothing.
"""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from models.money import format_minor
from tasks.reconciliation.report.actions import actions
from tasks.reconciliation.report.advice import advice
from tasks.reconciliation.report.facts import WORST_FIRST, CurrencyTotals, FindingFacts, RunFacts
from tasks.reconciliation.report.outside import clipped, visible
from tasks.reconciliation.report.plots import plot_kinds, plot_nights, plot_waterfall
from tasks.reconciliation.report.summary import AGES, in_question_once, kinds, open_groups, verdict
from tasks.reconciliation.report.waterfall import waterfall
from tasks.reconciliation.report.words import KINDS

FINDINGS_PER_KIND_MAX = 50
BAD_ROWS_MAX = 50
CURRENCIES_MAX = 12
"""How many currencies get a plot; the table of totals has all."""
FIELD_LENGTH_MAX = 300
FIELDS_MAX = 40

LEGEND = (
    ("total", "total"),
    ("waiting", "no finding: not due, not judged"),
    ("rise", "finding, more in the ledger"),
    ("fall", "finding, more at the provider"),
)

HERE = Path(__file__).parent


def render_page(facts: RunFacts) -> str:
    """The whole HTML file. Equal facts give equal bytes."""
    return environment(facts.zone).get_template("page.html.j2").render(context(facts))


def context(facts: RunFacts) -> dict[str, Any]:
    style = (HERE / "page.css").read_text()
    groups = list(open_groups(facts))
    return {
        "facts": facts,
        "style": Markup(style),  # noqa: S704 - our own file
        "style_digest": base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        "verdict": verdict(facts),
        "actions": actions(facts),
        "in_question": in_question_once(facts),
        "counted_once": any(group.told_elsewhere_minor for group in groups),
        "without_amount": sum(group.findings for group in groups if group.currency is None),
        "totals": totals_by_weight(facts),
        "waterfalls": waterfalls(facts),
        "kinds": kinds(facts),
        "kinds_plot": plot_kinds(kinds(facts)) if groups else None,
        "nights_plot": plot_nights(facts.history) if facts.history else None,
        "order": order(facts),
        "listed": listed(facts),
        "left_out": left_out(facts),
        "words": KINDS,
        "advice": {kind: advice(kind, lines) for kind, lines in lines_told(facts).items()},
        "looks": LEGEND,
        "ages": AGES,
        "bad_rows": facts.bad_rows[:BAD_ROWS_MAX],
        "broken": sum(1 for check in facts.invariants if check.broken),
    }


def totals_by_weight(facts: RunFacts) -> list[CurrencyTotals]:
    """What differs first, then by rows."""
    return sorted(
        facts.totals,
        key=lambda one: (not one.findings, -one.total.provider_rows - one.total.ledger_rows, one.currency),
    )


def waterfalls(facts: RunFacts) -> list[dict[str, Any]]:
    made = []
    for totals in totals_by_weight(facts)[:CURRENCIES_MAX]:
        bars = waterfall(totals)
        plot = plot_waterfall(bars, totals.currency)
        made.append({"totals": totals, "bars": bars, "plot": plot})
    return made


def listed(facts: RunFacts) -> dict[str, list[FindingFacts]]:
    """Per kind the first FINDINGS_PER_KIND_MAX: open ones, the worst, the largest, the oldest first."""
    found: dict[str, list[FindingFacts]] = defaultdict(list)
    for one in sorted(facts.findings, key=importance):
        if len(found[one.kind]) < FINDINGS_PER_KIND_MAX:
            found[one.kind].append(one)
    return dict(found)


def order(facts: RunFacts) -> list[str]:
    """The kinds that there is anything to tell of: as in the summary, then those without an open finding."""
    told = {one.kind for one in facts.findings}
    first = [one.kind for one in kinds(facts)]
    return first + [kind for kind in KINDS if kind in told and kind not in first]


def lines_told(facts: RunFacts) -> dict[str, tuple[str, ...]]:
    """Of each kind the movements that its findings are about, open or not."""
    found = {kind: (one.line or "",) for kind in KINDS for one in facts.findings if one.kind == kind}
    return found | {one.kind: one.lines for one in kinds(facts)}


def importance(one: FindingFacts) -> tuple[bool, int, int, datetime, int]:
    amount = abs(one.amount_minor or 0)
    return (not one.is_open, WORST_FIRST.index(one.severity), -amount, one.first_seen_at, one.id)


def left_out(facts: RunFacts) -> dict[str, int]:
    """Per kind how many findings the page does not list."""
    many: dict[str, int] = defaultdict(int)
    for one in facts.findings:
        many[one.kind] += 1
    found = {kind: max(0, count - FINDINGS_PER_KIND_MAX) for kind, count in many.items()}
    for group in facts.more:
        found[group.kind] = found.get(group.kind, 0) + group.findings
    return found


def environment(zone: str) -> Environment:
    """Jinja with everything escaped, undefined names refused, and our ways to write money and time."""
    made = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, finalize=finalize,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {
        "money": money,
        "figure": figure,
        "prose": prose,
        "moment": lambda at: moment(at, zone),
        "age": age,
        "number": lambda value: f"{value:,}",
        "field": show_field,
        "compared": compared,
    }
    return made


def finalize(value: object) -> object:
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)


def money(amount_minor: int, currency: str, *, signed: bool = False) -> str:
    """1,234.56 EUR, with a true minus and a space that does not break; `signed` writes the plus too."""
    text = format_minor(amount_minor, currency).replace("-", "\u2212").replace(" ", "\u00a0")
    return f"+{text}" if signed and amount_minor > 0 else text


def figure(amount_minor: int, currency: str, *, signed: bool = False) -> str:
    """As money(), without the code: for where the heading has it."""
    return money(amount_minor, currency, signed=signed).removesuffix(f"\u00a0{currency}")


def prose(text: str) -> Markup:
    """A sentence of ours, with what stands in backticks as code."""
    parts = [escape(visible(part)) for part in text.split("`")]
    made = [
        Markup("<code>{}</code>").format(part) if number % 2 else part for number, part in enumerate(parts)
    ]
    return Markup("").join(made)


def moment(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%d %b %Y, %H:%M}"


def age(since: datetime, now: datetime) -> str:
    """In the largest unit that fits: 20 min, 5 h, 3 d."""
    passed = max(now - since, timedelta())
    if passed.days:
        return f"{passed.days:,} d"
    hours, minutes = passed.seconds // 3600, passed.seconds // 60
    return f"{hours} h" if hours else f"{minutes} min"


def show_field(value: object, length_max: int = FIELD_LENGTH_MAX) -> str:
    """One value from outside; a long one is clipped and says so."""
    if value is None or value == "":
        return "\u2013"
    text, more = clipped(visible(str(value)), length_max)
    return f"{text} \u2026 ({more:,} more characters in the JSON)" if more else text


def compared(finding: FindingFacts) -> Sequence[tuple[str, object, object, bool]]:
    """(field, ours, theirs, differ?) for every field of either record; they differ only where both have it."""
    ours, theirs = finding.ours or {}, finding.theirs or {}
    names = list(dict.fromkeys([*ours, *theirs]))[:FIELDS_MAX]
    return [
        (
            name,
            ours.get(name),
            theirs.get(name),
            name in ours and name in theirs and ours[name] != theirs[name],
        )
        for name in names
    ]
