"""Taken by the provider, and what became of it never told: no payout stays submitted, and its money held, for ever."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from models.payouts.attempts import Place
from models.payouts.moving import SUBMITTED_LOOKUP_SECONDS
from tasks.payouts.dispatch import dispatch_lookups, tick
from tasks.payouts.pacing import DAY_SECONDS
from tasks.payouts.resolving import ask, learn, resolve
from tasks.payouts.unasked import sweep_unasked
from tests.integration.payouts.attempting import *  # noqa: F403 - the fixtures
from tests.integration.payouts.attempting import Till
from worker.providers.payouts.port import Found, NotFound, Sighting, Unsure

ENDS = [("paid", "paid"), ("failed", "failed"), ("returned", "returned")]


def submitted(till: Till) -> UUID:
    """Whatever its provider tells of it is lost for good."""
    payout_id = till.opened(10, "fault:webhook_lost")
    assert till.send(payout_id) == "submitted"
    return payout_id


def settle(till: Till, payout_id: UUID, status: str) -> None:
    object_id = till.payout(payout_id)["provider_reference"]
    assert till.sandbox.post(f"/payouts/{object_id}/settle", json={"status": status}).is_success


def sees(till: Till, payout_id: UUID, sighting: Sighting) -> str:
    """As if the provider had answered this to a look-up now."""
    question = ask(till.hands, Place(payout_id, "acme", "sandbox"))
    account = till.hands.accounts.find("acme", "sandbox")
    assert question is not None
    assert account is not None
    learn(till.hands, question, sighting, account)
    return till.state(payout_id)


def findings(till: Till) -> list[tuple[str, str, int]]:
    """(kind, cause or code, times seen)"""
    rows = till.cashier.rows(
        "SELECT kind, coalesce(detail ->> 'cause', detail ->> 'code') AS why, times_seen "
        "FROM reconciliation_findings WHERE tenant = :tenant ORDER BY id"
    )
    return [(row["kind"], row["why"], row["times_seen"]) for row in rows]


@pytest.mark.parametrize(("status", "state"), ENDS)
def test_an_end_that_no_webhook_told_is_found(till: Till, status: str, state: str) -> None:
    before = till.cashier.wallet()
    payout_id = submitted(till)
    settle(till, payout_id, status)
    till.later(DAY_SECONDS)
    till.work()
    assert till.state(payout_id) == state
    assert (till.outcomes(payout_id), till.cashier.held()) == ([status], 0)
    assert till.cashier.wallet() == before - (10 if state == "paid" else 0)
    assert till.cashier.reserved() == (10 if state == "paid" else 0)
    assert till.payout(payout_id)["failure_code"] == (None if state == "paid" else status)
    assert till.findings() == (["late_reversal"] if state == "returned" else [])
    assert till.payout(payout_id)["next_lookup_at"] is None


@pytest.mark.parametrize(("status", "state"), ENDS)
def test_the_webhook_that_comes_after_all_changes_nothing(till: Till, status: str, state: str) -> None:
    payout_id = submitted(till)
    settle(till, payout_id, status)
    till.later(DAY_SECONDS)
    till.look_up(payout_id)
    wallet, found = till.cashier.wallet(), findings(till)
    till.hear()
    assert (till.state(payout_id), till.cashier.wallet(), findings(till)) == (state, wallet, found)
    assert till.payout(payout_id)["version"] == (5 if state == "returned" else 4)


def test_it_is_asked_about_after_a_day_and_not_before(till: Till) -> None:
    payout_id = submitted(till)
    settle(till, payout_id, "paid")
    assert till.payout(payout_id)["next_lookup_at"] == till.cashier.now + timedelta(
        seconds=SUBMITTED_LOOKUP_SECONDS
    )
    till.later(DAY_SECONDS - 1)
    assert dispatch_lookups(till.hands) == []
    assert till.look_up(payout_id) == "submitted"
    till.later(1)
    assert dispatch_lookups(till.hands) == [payout_id]
    assert dispatch_lookups(till.hands) == [], "one message at a time"
    assert till.look_up(payout_id) == "paid"


def test_one_that_a_webhook_made_submitted_is_asked_about_too(till: Till) -> None:
    """In doubt, and told of as taken; then silence."""
    payout_id = till.opened(10, "fault:timeout_after")
    assert till.send(payout_id) == "in_doubt"
    till.later(5)
    till.hear()
    assert till.state(payout_id) == "submitted"
    assert till.payout(payout_id)["next_lookup_at"] == till.cashier.now + timedelta(seconds=DAY_SECONDS)
    settle(till, payout_id, "paid")
    till.later(DAY_SECONDS)
    till.work()
    assert till.state(payout_id) == "paid"


def test_day_by_day_and_after_a_week_a_person_is_told_once(till: Till) -> None:
    payout_id = submitted(till)
    for day in range(1, 10):
        till.later(DAY_SECONDS)
        till.work()
        row = till.payout(payout_id)
        assert (row["state"], row["lookups_made"]) == ("submitted", day)
        assert row["next_lookup_at"] == till.cashier.now + timedelta(seconds=DAY_SECONDS)
        expected = [] if day < 7 else [("status_mismatch", "submitted_overdue", day - 6)]
        assert findings(till) == expected
    assert (till.cashier.held(), till.cashier.reserved(), till.left(payout_id)) == (10, 10, (1, 0))
    settle(till, payout_id, "paid")
    till.later(DAY_SECONDS)
    till.work()
    assert (till.state(payout_id), till.cashier.held()) == ("paid", 0)


@pytest.mark.parametrize(
    ("sighting", "expected"),
    [
        (NotFound(), [("status_mismatch", "submitted_not_found", 1)]),
        (Unsure("timeout"), []),
        (Found("po_other", "paid", 10, "EUR"), [("duplicate_at_provider", "found_other", 1)]),
        (Found("po_other", "failed", 10, "EUR"), [("duplicate_at_provider", "found_other", 1)]),
    ],
)
def test_what_proves_nothing_releases_and_pays_nothing(till: Till, sighting: Sighting, expected: Any) -> None:
    payout_id = submitted(till)
    till.later(DAY_SECONDS)
    assert sees(till, payout_id, sighting) == "submitted"
    assert (findings(till), till.cashier.held(), till.outcomes(payout_id)) == (expected, 10, ["submitted"])
    assert till.payout(payout_id)["next_lookup_at"] == till.cashier.now + timedelta(seconds=DAY_SECONDS)


@pytest.mark.parametrize(
    ("amount", "currency", "kind"), [(11, "EUR", "amount_mismatch"), (10, "USD", "currency_mismatch")]
)
def test_another_amount_pays_nothing(till: Till, amount: int, currency: str, kind: str) -> None:
    payout_id = submitted(till)
    object_id = till.payout(payout_id)["provider_reference"]
    till.later(DAY_SECONDS)
    assert sees(till, payout_id, Found(object_id, "paid", amount, currency)) == "submitted"
    assert (till.findings(), till.cashier.held()) == ([kind], 10)


def test_what_a_webhook_ended_while_it_was_asked_for_is_left_alone(till: Till) -> None:
    payout_id = submitted(till)
    till.later(DAY_SECONDS)
    question = ask(till.hands, Place(payout_id, "acme", "sandbox"))
    account = till.hands.accounts.find("acme", "sandbox")
    assert question is not None
    assert account is not None
    settle(till, payout_id, "paid")
    till.hear()
    assert till.state(payout_id) == "paid"
    for sighting in (NotFound(), Unsure("x"), Found(question.attempt.object_id or "", "failed", 10, "EUR")):
        learn(till.hands, question, sighting, account)
        assert (till.state(payout_id), till.outcomes(payout_id)) == ("paid", ["paid"])


def test_two_who_ask_at_once_learn_once(till: Till) -> None:
    payout_id = submitted(till)
    till.later(DAY_SECONDS)
    place, account = Place(payout_id, "acme", "sandbox"), till.hands.accounts.find("acme", "sandbox")
    questions = [ask(till.hands, place), ask(till.hands, place)]
    assert account is not None
    for question in questions:
        assert question is not None
        learn(till.hands, question, NotFound(), account)
    assert (till.payout(payout_id)["lookups_made"], findings(till)) == (
        1, [("status_mismatch", "submitted_not_found", 1)],
    )  # fmt: skip


def test_a_pause_keeps_nobody_from_asking(till: Till) -> None:
    payout_id = submitted(till)
    settle(till, payout_id, "paid")
    till.account(paused_at=till.cashier.now, breaker="open", probe_at=till.cashier.now + timedelta(days=9))
    till.later(DAY_SECONDS)
    till.work()
    assert till.state(payout_id) == "paid"


def test_doubts_are_asked_about_first(till: Till) -> None:
    """However many were taken, and however long ago."""
    taken = [submitted(till) for _ in range(9)]
    till.later(DAY_SECONDS + 600)
    doubtful = till.opened(10, "fault:timeout_after")
    assert till.send(doubtful) == "in_doubt"
    till.later(30)
    first = dispatch_lookups(till.hands)
    assert first[0] == doubtful
    assert len(first) == 8
    assert set(first) < {doubtful, *taken}


# Nobody can ask


def unconfigured(till: Till) -> None:
    till.account(enabled=False)


def test_a_doubt_that_nobody_can_ask_about_is_told_of_once(till: Till) -> None:
    payout_id = till.opened(10, "fault:timeout_after")
    assert till.send(payout_id) == "in_doubt"
    unconfigured(till)
    till.later(30 + DAY_SECONDS)
    tick(till.hands)
    assert findings(till) == [], "a day late, and not more"
    till.later(1)
    for _ in range(3):
        tick(till.hands)
        till.later(DAY_SECONDS)
    assert findings(till) == [("in_doubt_overdue", "not_asked", 1)]
    assert (till.state(payout_id), till.cashier.held()) == ("in_doubt", 10)


def test_what_a_person_resolved_too_early_is_told_of_again_and_what_is_ignored_is_not(till: Till) -> None:
    payout_id = till.opened(10, "fault:timeout_after")
    assert till.send(payout_id) == "in_doubt"
    unconfigured(till)
    till.later(3 * DAY_SECONDS)
    assert sweep_unasked(till.hands) == 1
    for state, told in (("resolved", 1), ("ignored", 0)):
        till.cashier.rows(
            "UPDATE reconciliation_findings SET state = :state, closed_at = :now, closed_by = 'dana', reason = 'so' "
            "WHERE tenant = :tenant RETURNING id",
            state=state, now=till.cashier.now,
        )  # fmt: skip
        assert sweep_unasked(till.hands) == 0, "not at once"
        till.later(DAY_SECONDS + 1)
        assert sweep_unasked(till.hands) == told


def test_one_taken_that_nobody_can_ask_about_is_told_of_after_a_week(till: Till) -> None:
    payout_id = submitted(till)
    settle(till, payout_id, "paid")
    unconfigured(till)
    till.later(7 * DAY_SECONDS)
    tick(till.hands)
    assert findings(till) == []
    till.later(1)
    tick(till.hands)
    tick(till.hands)
    assert findings(till) == [("status_mismatch", "submitted_overdue", 1)]
    till.account(enabled=True)
    till.work()
    assert till.state(payout_id) == "paid", "asked at once, when there is somebody to ask"


def test_what_can_be_asked_about_is_not_told_of(till: Till) -> None:
    submitted(till)
    for _ in range(6):
        till.later(DAY_SECONDS)
        till.work()
    assert (sweep_unasked(till.hands), findings(till)) == (0, [])


def test_a_worker_without_the_account_asks_nobody(till: Till) -> None:
    payout_id = submitted(till)
    till.later(DAY_SECONDS)
    accounts = type("Nobody", (), {"find": lambda _self, _tenant, _provider: None})()
    assert resolve(till.with_hands(accounts=accounts), payout_id) is None
    assert till.state(payout_id) == "submitted"
