"""The first screen: is it clean, how much is in question, what comes first."""

from dataclasses import replace
from datetime import timedelta

import pytest

from models.reconciliation.tables import FINDING_KINDS
from tasks.reconciliation.report import FindingGroup, RunFacts, render_page
from tasks.reconciliation.report.actions import ACTIONS_MAX, actions
from tasks.reconciliation.report.summary import (
    AGES,
    InQuestion,
    Verdict,
    age_bracket,
    in_question,
    in_question_once,
    kinds,
    open_groups,
    verdict,
)
from tasks.reconciliation.report.words import KINDS
from tests.unit.reconciliation.report import nights


def with_findings(*findings: object, **changes: object) -> RunFacts:
    return replace(nights.clean(), findings=findings, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "tone", "title"),
    [
        (nights.clean(), "good", "Clean"),
        (nights.truncated(), "bad", "The provider's records are incomplete"),
        (nights.failed(), "bad", "The run failed"),
        (with_findings(nights.finding(1, "fee_mismatch")), "look", "1 open finding"),
        (with_findings(nights.finding(1, "missing_in_ledger")), "bad", "1 open finding"),
        (with_findings(invariants=nights.invariants(1)), "bad", "The books are out of order"),
        (with_findings(counts=nights.bad().counts), "look", "No findings, but rows that could not be read"),
        (with_findings(nights.finding(1, "fee_mismatch", state="ignored")), "good", "Clean"),
        (with_findings(nights.finding(1, "fee_mismatch", state="closed")), "good", "Clean"),
        (nights.crowded(), "bad", "2,000 open findings"),
    ],
)
def test_the_verdict(facts: RunFacts, tone: str, title: str) -> None:
    assert (verdict(facts).tone, verdict(facts).title) == (tone, title)


@pytest.mark.parametrize("facts", [nights.truncated(), nights.failed()])
def test_a_run_that_concluded_nothing_is_never_clean(facts: RunFacts) -> None:
    assert verdict(facts) != verdict(nights.clean())
    assert isinstance(verdict(facts), Verdict)
    assert (
        actions(facts)[0].command == "ledgerbeat reconcile --tenant acme --provider stripe --date 2026-11-20"
    )


def test_money_in_question_is_absolute_and_of_open_findings_alone() -> None:
    facts = with_findings(
        nights.finding(1, "missing_in_ledger", amount_minor=-500, currency="EUR"),
        nights.finding(2, "missing_in_ledger", amount_minor=300, currency="EUR"),
        nights.finding(3, "missing_in_ledger", amount_minor=7, currency="JPY"),
        nights.finding(4, "missing_in_ledger", amount_minor=9_999, currency="EUR", state="resolved"),
        nights.finding(5, "unknown_event"),
    )
    assert in_question(open_groups(facts)) == (InQuestion("EUR", 800, 2), InQuestion("JPY", 7, 1))


def test_findings_that_are_only_counted_count() -> None:
    group = FindingGroup("missing_in_ledger", "high", 500, nights.NOW - timedelta(days=9), 70_000, "EUR")
    facts = with_findings(
        nights.finding(1, "missing_in_ledger", amount_minor=1, currency="EUR"), more=(group,)
    )
    (summary,) = kinds(facts)
    assert (summary.findings, summary.by_age[3]) == (501, 500)
    assert summary.in_question == (InQuestion("EUR", 70_001, 501),)
    assert verdict(facts).title == "501 open findings"


@pytest.mark.parametrize(
    ("age", "bracket"),
    [
        (timedelta(seconds=-5), 0),
        (timedelta(hours=23, minutes=59), 0),
        (timedelta(days=1), 1),
        (timedelta(days=3), 2),
        (timedelta(days=7), 3),
        (timedelta(days=9_000), 3),
    ],
)
def test_ages(age: timedelta, bracket: int) -> None:
    assert age_bracket(age) == bracket
    assert bracket < len(AGES)


def test_the_worst_comes_first_and_the_list_is_short() -> None:
    first = actions(nights.bad())
    assert len(first) == ACTIONS_MAX
    assert first[0].title == "Mend the books: balances_are_sums"
    assert first[1].anchor == "duplicate_at_provider"
    assert [one.severity for one in kinds(nights.bad())][:2] == ["critical", "critical"]


def test_nothing_is_to_be_done_after_a_clean_night() -> None:
    assert actions(nights.clean()) == ()


def test_every_kind_has_words() -> None:
    assert tuple(sorted(KINDS)) == tuple(sorted(FINDING_KINDS))
    for words in KINDS.values():
        assert len(words.title) <= 20, "plots have room for so much"
        assert words.meaning.endswith(".")
        assert words.first.endswith(".")


def test_money_that_an_event_and_a_record_tell_of_is_in_question_once() -> None:
    """In the headline; by kind each has its own."""
    group = FindingGroup("unknown_event", "low", 3, nights.NOW, 900, "EUR", told_elsewhere_minor=700)
    facts = with_findings(
        nights.finding(1, "missing_in_ledger", amount_minor=-500, currency="EUR"),
        nights.finding(2, "unknown_event", amount_minor=500, currency="EUR", told_elsewhere=True),
        nights.finding(3, "unknown_event", amount_minor=40, currency="EUR"),
        more=(group,),
    )
    assert in_question_once(facts) == (InQuestion("EUR", 500 + 40 + 200, 6),)
    assert [one.in_question for one in kinds(facts)] == [
        (InQuestion("EUR", 500, 1),),
        (InQuestion("EUR", 1440, 5),),
    ]
    assert "of the same money is in it once" in render_page(facts)
    assert "of the same money is in it once" not in render_page(nights.bad())
