"""Nights to make reports of: clean, bad (every kind), truncated, failed, and one with very many findings."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from models.reconciliation.tables import FINDING_KINDS
from tasks.reconciliation.report import (
    BadRowFacts,
    Both,
    Counts,
    CurrencyTotals,
    FeesBooked,
    FindingFacts,
    IgnoredRecords,
    InvariantFacts,
    Night,
    RunFacts,
    SettlementsBooked,
)

DAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 21, 1, 34, 12, tzinfo=UTC)

SEVERITIES = {
    "invariant_broken": "critical", "duplicate_at_provider": "critical", "missing_at_provider": "high",
    "missing_in_ledger": "high", "amount_mismatch": "high", "currency_mismatch": "high", "status_mismatch": "medium",
    "in_doubt_overdue": "high", "late_reversal": "medium", "unknown_event": "low", "fee_mismatch": "low",
    "duplicate_payment": "high", "disputed_more_than_captured": "high", "duplicate_record": "medium",
}  # fmt: skip


def finding(number: int, kind: str, **changes: object) -> FindingFacts:
    reference = f"pay-2026-11-20-{number:05d}"
    ours = {
        "reference": reference,
        "kind": "deposit",
        "amount": "120.00 EUR",
        "transaction": 1_000_000 + number,
    }
    theirs = {
        "reference": reference,
        "kind": "deposit",
        "amount": "125.00 EUR",
        "record": f"txn_{number:08x}",
    }
    since = NOW - timedelta(days=number % 11, hours=number % 5)
    made = FindingFacts(
        id=number, kind=kind, severity=SEVERITIES[kind], state="open", subject=f"deposit:stripe:{reference}",
        first_seen_at=since, last_seen_at=NOW, times_seen=1 + number % 11,
        amount_minor=None if kind == "unknown_event" else 12_000 + 137 * number,
        currency=None if kind == "unknown_event" else ("EUR", "EUR", "EUR", "EUR", "JPY")[number % 5],
        ours=None if kind == "missing_in_ledger" else ours,
        theirs=None if kind == "missing_at_provider" else theirs,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def history(last: int, states: Sequence[str] = ()) -> tuple[Night, ...]:
    nights = [
        Night(DAY - timedelta(days=29 - day), "done", 90_000 + 37 * day, (day * 7) % 5) for day in range(29)
    ]
    nights[11] = replace(nights[11], state="failed", findings_open=0)
    nights[17] = replace(nights[17], findings_open=11)
    return (*nights, Night(DAY, "done", 91_220, last))


def invariants(broken: int = 0) -> tuple[InvariantFacts, ...]:
    return (
        InvariantFacts("entries_sum_to_zero", "Every ledger transaction sums to zero per currency.", 0, "Call us."),
        InvariantFacts("balances_are_sums", "Each balance is the sum of its entries.", broken,
                       "Run `ledgerbeat wallets recalc --dry-run` and compare.",
                       tuple(f"wallet:{number}" for number in range(broken))),
        InvariantFacts("holds_have_payouts", "Each open hold belongs to a live payout.", 0, "Release it by hand."),
    )  # fmt: skip


def clean() -> RunFacts:
    euro = Both(91_200_050, 91_200_050, 90_000, 90_000)
    late = Both(3_400_00, 0, 21, 0)
    yen = Both(48_000_000, 48_000_000, 1_200, 1_200)
    return RunFacts(
        tenant="acme", provider="stripe", business_date=DAY, zone="Europe/Istanbul",
        window_from=datetime(2026, 11, 16, 21, tzinfo=UTC), window_to=datetime(2026, 11, 20, 21, tzinfo=UTC),
        state="done", started_at=NOW - timedelta(minutes=3), finished_at=NOW,
        totals=(CurrencyTotals("EUR", euro + late, matched=euro, expected=late),
                CurrencyTotals("JPY", yen, matched=yen)),
        counts=Counts(records=91_221, ledger_rows=91_200, matched=91_200, expected=21, closed=2),
        invariants=invariants(), fees=(FeesBooked("EUR", 1_820_31, 88_112),), history=history(0),
        settlements=(SettlementsBooked("bank:main", "EUR", 165_49, 1, "bank"),),
        ignored=(IgnoredRecords("Balancetransfer", "EUR", 120_00, 1, "41:Balancetransfer:00ff"),),
    )  # fmt: skip


def bad() -> RunFacts:
    matched = Both(91_200_050, 91_200_050, 90_000, 90_000)
    parts = {
        "missing_at_provider": Both(0, 1_250_000, 0, 9),
        "missing_in_ledger": Both(2_400_000, 0, 14, 0),
        "amount_mismatch": Both(500_000, 480_000, 3, 3),
        "status_mismatch": Both(-70_000, 0, 1, 2),
        "fee_mismatch": Both(4_000, 4_000, 2, 2),
        "duplicate_at_provider": Both(-300_000, -150_000, 2, 1),
    }
    total = sum(parts.values(), matched)
    yen = Both(-400, -9_400, 3, 3)
    found = [finding(number, kind) for number, kind in enumerate(FINDING_KINDS * 3, start=1)]
    found.append(finding(90, "fee_mismatch", state="ignored", reason="Rounding, agreed with the provider"))
    return replace(
        clean(),
        totals=(CurrencyTotals("EUR", total, matched=matched, findings=parts),
                CurrencyTotals("JPY", yen, matched=Both(100, 100, 1, 1),
                               findings={"amount_mismatch": Both(-500, -9_500, 2, 2)})),
        counts=Counts(records=91_240, ledger_rows=91_233, matched=90_001, expected=21, bad_rows=3, opened=7,
                      seen_again=26, closed=2),
        findings=tuple(found), bad_rows=bad_rows(), invariants=invariants(broken=2), history=history(33), revision=2,
    )  # fmt: skip


def bad_rows() -> tuple[BadRowFacts, ...]:
    return (
        BadRowFacts(
            118, "txn_77,deposit,12.345,EUR,2026-11-20T10:00:00Z", "12.345 has more decimals than EUR"
        ),
        BadRowFacts(2_041, "txn_78;deposit;10,00;EUR", "5 columns were expected, 1 was found"),
        BadRowFacts(90_112, "A" * 4_000, "the row is longer than 2,000 characters"),
    )


def truncated() -> RunFacts:
    matched = Both(11_200_050, 11_200_050, 9_000, 9_000)
    unjudged = Both(0, 80_000_000, 0, 81_000)
    return replace(
        clean(), state="truncated",
        problem="9,000 records came, at least 45,112 were expected (the ledger has 90,000, the last 7 nights 90,224)",
        totals=(CurrencyTotals("EUR", matched + unjudged, matched=matched, unjudged=unjudged),),
        counts=Counts(records=9_000, ledger_rows=90_000, matched=9_000),
        history=(*history(0)[:-1], Night(DAY, "truncated", 9_000, 0)), fees=(),
    )  # fmt: skip


def failed() -> RunFacts:
    return replace(
        clean(), state="failed", problem="the provider answered 401 to the request for its records", totals=(),
        counts=Counts(), fees=(), invariants=(), history=(*history(0)[:-1], Night(DAY, "failed", 0, 0)),
    )  # fmt: skip


def crowded(many: int = 2_000) -> RunFacts:
    kinds = ("missing_in_ledger", "missing_in_ledger", "amount_mismatch", "missing_at_provider")
    found = tuple(finding(number, kinds[number % 4]) for number in range(1, many + 1))
    return replace(
        bad(), findings=found, invariants=invariants(), bad_rows=(), history=history(many),
        counts=replace(bad().counts, bad_rows=0, opened=many),
    )  # fmt: skip


HOSTILE = (
    "<script>alert(1)</script>", "</style><img src=x onerror=alert(1)>", '"><svg onload=alert(1)>', "{{ 7 * 7 }}",
    "\u202egnihton\u202c", "a\x00b\nc\x1b[31m", "\ud800 alone", "=HYPERLINK(\"http://x\")", "B" * 4_000, "&lt;b&gt;",
)  # fmt: skip


def hostile() -> RunFacts:
    """Every text that can come from outside, set to every text that should do nothing."""
    found = tuple(
        finding(
            number,
            "amount_mismatch",
            subject=text,
            reason=text,
            ours={text: text, "same": 1},
            theirs={text: "other"},
        )
        for number, text in enumerate(HOSTILE, start=1)
    )
    rows = tuple(BadRowFacts(line, text, text) for line, text in enumerate(HOSTILE, start=1))
    check = InvariantFacts(f"balances{HOSTILE[4]}{HOSTILE[0]}", HOSTILE[0], len(HOSTILE), HOSTILE[1], HOSTILE)
    return replace(
        bad(), findings=found, bad_rows=rows, invariants=(check,), problem=" ".join(HOSTILE),
        counts=replace(bad().counts, bad_rows=len(rows)),
    )  # fmt: skip
