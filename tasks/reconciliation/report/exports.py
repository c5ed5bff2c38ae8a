"""The same facts for programs: JSON, and the findings as CSV. Pure; both say only what the page says.

JSON, `schema` "ledgerbeat.reconciliation-report/1": a key is never renamed or given another meaning, new ones may
come. `tenant provider business_date zone window_from window_to state problem revision started_at finished_at`;
`verdict` {tone good|look|bad, title, explanation}; `counts`; `totals` [{currency, total, matched, elsewhere, expected,
unjudged, findings: {kind: part}, repeated, ignored, waterfall: [{title, amount_minor, level_minor}]}], a part being
{provider_minor, ledger_minor, provider_rows, ledger_rows}; `in_question` (money that two findings are about, once) and
`kinds` of the open findings; `findings` one by one and `more` that are only counted; `bad_rows`, `invariants`, `fees`,
`settlements`, `ignored` (records that are compared with nothing, by type), `history`. Amounts are integers of
minor units (read them as 64 bits), times are ISO 8601 in UTC.

CSV, RFC 4180: comma, CRLF, a header, texts in quotes. A text that a spreadsheet would take for a formula gets an
apostrophe in front (OWASP, "CSV Injection"); numbers do not.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from models.money import exponent
from tasks.reconciliation.report.facts import CurrencyTotals, FindingFacts, RunFacts
from tasks.reconciliation.report.outside import visible
from tasks.reconciliation.report.summary import in_question_once, kinds, verdict
from tasks.reconciliation.report.waterfall import waterfall

SCHEMA = "ledgerbeat.reconciliation-report/1"
COLUMNS = (
    "id", "kind", "severity", "state", "subject", "amount_minor", "currency", "amount", "first_seen_at",
    "last_seen_at", "times_seen", "reason", "ledger_record", "provider_record",
)  # fmt: skip
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def render_json(facts: RunFacts) -> str:
    """Equal facts give equal bytes; ASCII only."""
    told = asdict(facts) | {
        "schema": SCHEMA,
        "verdict": asdict(verdict(facts)),
        "totals": [told_totals(totals) for totals in facts.totals],
        "in_question": [asdict(one) for one in in_question_once(facts)],
        "kinds": [asdict(one) for one in kinds(facts)],
    }
    return json.dumps(told, default=plain, indent=1, sort_keys=True) + "\n"


def told_totals(totals: CurrencyTotals) -> dict[str, Any]:
    steps = [
        {"title": bar.title, "amount_minor": bar.amount_minor, "level_minor": bar.to_minor}
        for bar in waterfall(totals)
    ]
    return asdict(totals) | {"waterfall": steps}


def plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)


def csv_lines(findings: Iterable[FindingFacts]) -> Iterator[str]:
    """The header and one line for each finding, as they come; nothing is kept."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    yield buffer.getvalue()
    for finding in findings:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow(cells(finding))
        yield buffer.getvalue()


def cells(one: FindingFacts) -> list[str | int | Decimal]:
    """A row under COLUMNS."""
    return [
        one.id, one.kind, one.severity, one.state, safe(one.subject),
        "" if one.amount_minor is None else one.amount_minor, one.currency or "", major(one),
        plain(one.first_seen_at), plain(one.last_seen_at), one.times_seen, safe(one.reason or ""),
        safe(record(one.ours)), safe(record(one.theirs)),
    ]  # fmt: skip


def safe(text: str) -> str:
    """`text` as a spreadsheet shows it and never computes it."""
    shown = visible(text)
    return f"'{shown}" if text.lstrip(" ").startswith(FORMULA_STARTS) else shown


def major(one: FindingFacts) -> str | Decimal:
    """The amount in major units; exact."""
    if one.amount_minor is None or one.currency is None:
        return ""
    return Decimal(one.amount_minor).scaleb(-exponent(one.currency))


def record(fields: Mapping[str, object] | None) -> str:
    return "" if fields is None else json.dumps(dict(fields), default=plain)
