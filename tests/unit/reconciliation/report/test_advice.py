"""What to do first fits the kind of movement that a finding is about."""

from dataclasses import replace
from typing import get_args

import pytest

from tasks.reconciliation.report.actions import looking
from tasks.reconciliation.report.advice import FIRST, LINES, advice, first
from tasks.reconciliation.report.page import render_page
from tasks.reconciliation.report.words import KINDS
from tests.unit.reconciliation.report import nights
from worker.providers.records.port import RecordKind


@pytest.mark.parametrize("line", sorted(set(get_args(RecordKind)) - {"ignore"}))
def test_every_kind_of_movement_has_advice_of_its_own(line: str) -> None:
    """Of a movement that has no webhook, nobody is sent to look for one."""
    assert line in LINES
    missing = first("missing_in_ledger", line)
    assert ("webhook" in missing) == (line in ("deposit", "refund", "chargeback"))
    assert missing.endswith(".")


def test_advice_is_about_kinds_that_there_are() -> None:
    assert set(FIRST) <= set(KINDS)
    assert {line for told in FIRST.values() for line in told} <= set(LINES)


def test_one_kind_of_movement_is_told_plainly_and_several_by_name() -> None:
    deposit, other = first("missing_in_ledger", "deposit"), first("missing_in_ledger", "other")
    assert advice("missing_in_ledger", ["other"]) == other
    assert advice("missing_in_ledger", ["deposit", "other"]) == f"Deposits: {deposit} Others: {other}"
    assert advice("late_reversal", ["payout", "deposit"]) == KINDS["late_reversal"].first
    assert advice("missing_in_ledger", []) == KINDS["missing_in_ledger"].first


def test_the_page_tells_what_fits_what_was_found() -> None:
    found = tuple(
        nights.finding(n, "missing_in_ledger", line=line)
        for n, line in enumerate(("other", "own_transfer"), 1)
    )
    facts = replace(nights.clean(), findings=found)
    [action] = looking(facts)
    assert action.text == advice("missing_in_ledger", ("other", "own_transfer"))
    page = render_page(facts)
    assert "Settlements: At a provider" in page
    assert "Look for its webhook" not in page
