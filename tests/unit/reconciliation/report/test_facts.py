"""Facts whose money does not add up are refused, whatever is wrong with them."""

from dataclasses import FrozenInstanceError, replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.money import UnknownCurrency
from models.reconciliation.tables import FINDING_KINDS
from tasks.reconciliation.report import (
    Both,
    CurrencyTotals,
    FactsDoNotAddUp,
    FindingGroup,
    Night,
)
from tasks.reconciliation.report.waterfall import waterfall
from tests.unit.reconciliation.report import nights

amounts = st.integers(-(2**63), 2**63 - 1)
boths = st.builds(Both, amounts, amounts, st.integers(0, 10**9), st.integers(0, 10**9))
matches = st.builds(lambda amount, rows: Both(amount, amount, rows, rows), amounts, st.integers(0, 10**9))


@st.composite
def totals(draw: st.DrawFn) -> CurrencyTotals:
    matched = draw(matches)
    elsewhere, expected, unjudged = draw(boths), draw(boths), draw(boths)
    findings = draw(st.dictionaries(st.sampled_from(FINDING_KINDS), boths))
    total = sum(findings.values(), matched + elsewhere + expected + unjudged)
    return CurrencyTotals("EUR", total, matched, elsewhere, expected, unjudged, findings)


@given(totals())
def test_the_steps_lead_from_the_providers_total_to_the_ledgers(made: CurrencyTotals) -> None:
    first, *steps, last = waterfall(made)
    assert first.to_minor == made.total.provider_minor
    assert last.to_minor == made.total.ledger_minor
    assert first.to_minor + sum(bar.amount_minor for bar in steps) == last.to_minor
    for before, after in zip([first, *steps], steps, strict=False):
        assert after.from_minor == before.to_minor


@given(totals(), st.sampled_from(["provider_minor", "ledger_minor", "provider_rows", "ledger_rows"]))
def test_a_total_that_is_off_by_one_on_any_side_is_refused(made: CurrencyTotals, field: str) -> None:
    wrong = replace(made.total, **{field: getattr(made.total, field) + 1})
    with pytest.raises(FactsDoNotAddUp, match="EUR"):
        replace(made, total=wrong)


def test_matched_money_is_the_same_on_both_sides() -> None:
    with pytest.raises(FactsDoNotAddUp, match="matched differs by -1"):
        CurrencyTotals("EUR", Both(100, 99, 1, 1), matched=Both(100, 99, 1, 1))


def test_a_currency_has_one_total() -> None:
    euro = CurrencyTotals("EUR", Both())
    with pytest.raises(FactsDoNotAddUp, match="two totals"):
        replace(nights.clean(), totals=(euro, euro))


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(UnknownCurrency):
        CurrencyTotals("XXX", Both())
    with pytest.raises(ValueError, match="'lost' is not a finding kind"):
        CurrencyTotals("EUR", Both(), findings={"lost": Both()})
    with pytest.raises(ValueError, match="'severe' is not a severity"):
        nights.finding(1, "fee_mismatch", severity="severe")
    with pytest.raises(ValueError, match="'gone' is not a finding state"):
        nights.finding(1, "fee_mismatch", state="gone")
    with pytest.raises(ValueError, match="'running' is not a run state"):
        replace(nights.clean(), state="running")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["../etc/passwd", "a/b", "", "A", ".", "a b", "a\x00"])
@pytest.mark.parametrize("field", ["tenant", "provider"])
def test_a_name_that_is_not_one_never_becomes_a_path(field: str, name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a tenant or a provider"):
        replace(nights.clean(), **{field: name})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["window_from", "window_to", "started_at", "finished_at"])
def test_times_are_aware(field: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        replace(nights.clean(), **{field: datetime(2026, 11, 20)})  # type: ignore[arg-type] # noqa: DTZ001


@pytest.mark.parametrize("changes", [{"amount_minor": None}, {"currency": None}])
def test_an_amount_and_its_currency_come_together(changes: dict[str, None]) -> None:
    with pytest.raises(ValueError, match="come together"):
        nights.finding(1, "fee_mismatch", **changes)
    with pytest.raises(ValueError, match="come together"):
        replace(FindingGroup("fee_mismatch", "low", 1, nights.NOW, 1, "EUR"), **changes)  # type: ignore[arg-type]


def test_the_history_is_bounded() -> None:
    with pytest.raises(ValueError, match="31 nights"):
        replace(nights.clean(), history=(Night(nights.DAY, "done", 1, 0),) * 31)


def test_facts_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        nights.clean().state = "failed"  # type: ignore[misc]
