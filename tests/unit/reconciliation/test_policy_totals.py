"""Sums of lines become totals per currency and side, and show whether anything fell through."""

from models.reconciliation.matching import Sum
from tasks.reconciliation.totals import add_up, adds_up, as_stored

SUMS = [
    Sum("provider", "EUR", "agreed", None, 8, 800),
    Sum("ledger", "EUR", "agreed", None, 8, 800),
    Sum("provider", "EUR", "in question", None, 3, 310),
    Sum("ledger", "EUR", "in question", None, 2, 190),
    Sum("provider", "EUR", "matched", None, 1, 50),
    Sum("provider", "EUR", "expected", None, 1, 60),
    Sum("provider", "EUR", "repeated", None, 1, 90),
    Sum("provider", "EUR", "ignored", None, 2, -70),
    Sum("provider", "EUR", "finding", "amount_mismatch", 1, 200),
    Sum("ledger", "EUR", "finding", "amount_mismatch", 1, 150),
    Sum("ledger", "EUR", "finding", "missing_at_provider", 1, 40),
    Sum("provider", "USD", "outside", None, 0, 0),
]


def test_the_parts_are_the_whole() -> None:
    totals = add_up(SUMS)
    assert list(totals) == ["EUR"]
    euro = totals["EUR"]
    assert (euro.provider.rows, euro.provider.minor) == (11, 1110)
    assert (euro.provider.matched_minor, euro.provider.expected_minor, euro.provider.findings_minor) == (
        850,
        60,
        200,
    )
    assert (euro.ledger.rows, euro.ledger.minor, euro.ledger.findings_minor) == (10, 990, 190)
    assert euro.findings == {
        "amount_mismatch": {"provider": (1, 200), "ledger": (1, 150)},
        "missing_at_provider": {"ledger": (1, 40)},
    }
    assert (euro.provider.repeated_minor, euro.provider.ignored_minor) == (90, -70)
    assert euro.elsewhere_minor == 50
    assert adds_up(totals)


def test_each_line_that_falls_through_shows() -> None:
    for place, one in enumerate(SUMS):
        if one.rows and one.status not in ("agreed", "repeated", "ignored"):
            assert not adds_up(add_up(SUMS[:place] + SUMS[place + 1 :])), one


def test_what_is_stored_is_plain() -> None:
    stored = as_stored(add_up(SUMS))
    assert stored["EUR"]["ledger"]["findings_minor"] == 190
    assert stored["EUR"]["findings"]["amount_mismatch"]["provider"] == (1, 200)
