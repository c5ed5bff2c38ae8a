"""What a look-up makes of a payout in doubt and of one that was taken, and that ops/state-machines.md says so."""

from datetime import timedelta
from typing import Any

import pytest

from models.payouts.states import ASKED_STATES
from models.tenants import Policy
from tasks.payouts.decisions import Case, Decision
from tasks.payouts.pacing import DAY_SECONDS, LOST
from tasks.payouts.sightings import SUBMITTED_OVERDUE_SECONDS, decide_sighting
from tests.unit.payouts.payouts import NOON, a_payout, an_attempt
from tests.unit.payouts.test_event_rules import table
from worker.providers.payouts.port import Found, NotFound, Sighting, Unsure

SETTLE = 10
SEEN: dict[str, tuple[Sighting, float, str]] = {
    "submitted": (Found("po", "submitted", 100, "EUR"), SETTLE, "timeout"),
    "paid": (Found("po", "paid", 100, "EUR"), SETTLE, "timeout"),
    "failed": (Found("po", "failed", 100, "EUR", "account_closed"), SETTLE, "timeout"),
    "returned": (Found("po", "returned", 100, "EUR"), SETTLE, "timeout"),
    "another amount": (Found("po", "paid", 101, "EUR"), SETTLE, "timeout"),
    "another currency": (Found("po", "paid", 100, "USD"), SETTLE, "timeout"),
    "another object": (Found("po_2", "paid", 100, "EUR"), SETTLE, "timeout"),
    "not found, too early": (NotFound(), SETTLE - 0.001, "timeout"),
    "not found, settled": (NotFound(), SETTLE, "timeout"),
    "not found, settled, lost": (NotFound(), SETTLE, LOST),
    "no answer": (Unsure("timeout"), SETTLE, "timeout"),
}
"""What is seen, how many seconds after the doubt began it was asked for, and how the call had ended."""


def looked(
    state: Any, sighting: Sighting, *, after: float = SETTLE, code: str | None = None, **others: Any
) -> Decision:
    """The decision about the payout's first look-up, at noon."""
    in_doubt = {"in_doubt_since": NOON} if state == "in_doubt" else {}
    payout = a_payout(state, claim_version=1, next_lookup_at=NOON, provider_reference="po", **in_doubt)
    known: dict[str, Any] = {
        "object_id": "po",
        "key_valid_until": NOON + timedelta(days=1),
        "finished_at": None,
    }
    known |= others
    if state == "submitted":
        known["finished_at"] = known["finished_at"] or NOON
    attempt = an_attempt(state, error_code=code, **known)
    case = Case(payout, [attempt], 1, Policy(), NOON)
    return decide_sighting(case, sighting, asked_at=NOON + timedelta(seconds=after), settle_seconds=SETTLE)


def spelled(decision: Decision) -> str:
    path = " ".join(f"→ {step.after.state}" for step in decision.steps) or "stays"
    return f"{path} !{decision.finding}" if decision.finding else path


def cells() -> list[tuple[str, str, str]]:
    head, *rows = table("Look-ups")
    return [(row[0], state, cell) for row in rows for state, cell in zip(head[1:], row[1:], strict=True)]


@pytest.mark.parametrize(("seen", "state", "cell"), cells())
def test_each_cell_of_the_page_is_what_is_decided(seen: str, state: str, cell: str) -> None:
    sighting, after, code = SEEN[seen]
    assert spelled(looked(state, sighting, after=after, code=code)) == cell


def test_the_table_is_complete() -> None:
    head, *rows = table("Look-ups")
    assert set(head[1:]) == set(ASKED_STATES)
    assert [row[0] for row in rows] == list(SEEN)


@pytest.mark.parametrize("seen", SEEN)
def test_what_stays_submitted_is_asked_about_a_day_later_with_its_attempt_alive(seen: str) -> None:
    decision = looked("submitted", SEEN[seen][0])
    if decision.steps:
        assert decision.payout.next_lookup_at is None
    else:
        assert decision.payout.next_lookup_at == NOON + timedelta(seconds=DAY_SECONDS)
        assert (decision.payout.lookups_made, decision.attempt.outcome) == (1, "submitted")
        assert (decision.note, decision.payout.dispatched_until) == ("lookup", None)


@pytest.mark.parametrize("sighting", [Found("po", "submitted", 100, "EUR"), Unsure("timeout")])
@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (SUBMITTED_OVERDUE_SECONDS - 1, (None, "")),
        (SUBMITTED_OVERDUE_SECONDS, ("status_mismatch", "submitted_overdue")),
    ],
)
def test_a_week_without_an_end_is_for_a_person(sighting: Sighting, seconds: int, expected: Any) -> None:
    decision = looked("submitted", sighting, finished_at=NOON - timedelta(seconds=seconds))
    assert (decision.finding, decision.mark) == expected


@pytest.mark.parametrize("days", [0, 8])
def test_what_is_wrong_is_told_before_how_long_it_takes(days: int) -> None:
    taken_at = NOON - timedelta(days=days)
    absent = looked("submitted", NotFound(), finished_at=taken_at)
    other = looked("submitted", SEEN["another amount"][0], finished_at=taken_at)
    assert (absent.finding, absent.mark) == ("status_mismatch", "submitted_not_found")
    assert (other.finding, other.mark) == ("amount_mismatch", "")


def test_a_failure_that_is_seen_late_ends_it_with_the_providers_reason() -> None:
    decision = looked("submitted", SEEN["failed"][0], finished_at=NOON - timedelta(days=9))
    assert (decision.payout.failure_code, decision.attempt.outcome, decision.finding) == (
        "account_closed", "failed", None,
    )  # fmt: skip
