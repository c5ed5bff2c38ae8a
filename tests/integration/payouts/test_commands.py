"""Commands: what people decide takes effect once, with their name and reason; what is refused changes nothing."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine

from models.payouts.states import State
from tests.integration.families.desk import counting_statements
from tests.integration.payouts.cashier import SIGNED, Cashier, cooled, ended

Bring = Callable[[Cashier], UUID]


def waiting(cashier: Cashier) -> UUID:
    cashier.policy(approval_threshold_minor=0)
    return cashier.opened(100)


def sending(cashier: Cashier) -> UUID:
    payout_id = cashier.opened(100)
    cashier.attempt(payout_id, "sending")
    cashier.sent(payout_id)
    return payout_id


def cooling(cashier: Cashier) -> UUID:
    payout_id = cashier.opened(100)
    cashier.attempt(payout_id, "declined")
    cashier.cooling(payout_id, seconds=0)
    return payout_id


def doubtful(cashier: Cashier) -> UUID:
    payout_id = cashier.opened(100)
    cashier.in_doubt(payout_id)
    return payout_id


def after(state: State, outcome: str, *further: dict[str, Any]) -> Bring:
    def bring(cashier: Cashier) -> UUID:
        payout_id = cashier.opened(100)
        cashier.attempt(payout_id, outcome)
        cashier.sent(payout_id, ended(state, "no_account" if state == "failed" else None), *further)
        return payout_id

    return bring


def cancelled(cashier: Cashier) -> UUID:
    payout_id = cashier.opened(100)
    cashier.command("cancel", payout_id)
    return payout_id


BRING: dict[State, Bring] = {
    "awaiting_approval": waiting,
    "approved": lambda cashier: cashier.opened(100),
    "sending": sending,
    "submitted": after("submitted", "submitted"),
    "in_doubt": doubtful,
    "cooling": cooling,
    "paid": after("paid", "paid"),
    "returned": after("paid", "returned", {"state": "returned", "failure_code": "bounced"}),
    "failed": after("failed", "declined"),
    "cancelled": cancelled,
}
ALLOWED: dict[tuple[str, State], State] = {
    ("approve", "awaiting_approval"): "approved",
    ("reject", "awaiting_approval"): "cancelled",
    ("cancel", "awaiting_approval"): "cancelled",
    ("cancel", "approved"): "cancelled",
    ("cancel", "cooling"): "cancelled",
    ("retry", "cooling"): "cooling",
    ("mark_paid", "in_doubt"): "paid",
    ("mark_failed", "in_doubt"): "failed",
}
COMMANDS = ("approve", "reject", "cancel", "retry", "mark_paid", "mark_failed")


@pytest.mark.parametrize("state", BRING)
def test_each_command_in_each_state_does_what_the_table_says_and_no_more(
    cashier: Cashier, state: State
) -> None:
    for command in COMMANDS:
        cashier.policy(approval_threshold_minor=None)
        payout_id = BRING[state](cashier)
        before = cashier.payout(payout_id)
        assert before["state"] == state
        outcome = cashier.command(command, payout_id)
        goal = ALLOWED.get((command, state))
        if goal is None:
            assert (outcome["code"], outcome["state"]) == ("wrong_state", state), command
            assert cashier.payout(payout_id) == before
        else:
            assert outcome == {"state": goal, "error": None, "payout_id": str(payout_id)}
            assert cashier.state(payout_id) == goal
        audited = cashier.rows(
            "SELECT actor, reason, detail FROM audit_events WHERE action = :action AND subject = :subject",
            action=f"payouts.{command}", subject=f"payout:{payout_id}",
        )  # fmt: skip
        expected = [] if goal is None else [{**SIGNED, "detail": {"before": state, "after": goal}}]
        # Bringing it into "cancelled" was itself an audited command.
        assert audited[1 if (state, command) == ("cancelled", "cancel") else 0 :] == expected


def test_money_and_limit_come_back_with_a_cancel(cashier: Cashier) -> None:
    cashier.policy(daily_payout_limit_minor=1000)
    payout_id = cashier.opened(1000)
    assert (cashier.wallet(), cashier.held(), cashier.reserved()) == (0, 1000, 1000)
    cashier.command("cancel", payout_id)
    assert (cashier.wallet(), cashier.held(), cashier.reserved()) == (1000, 0, 0)
    assert cashier.payout(payout_id)["failure_code"] == "cancelled"
    assert cashier.request(1000)[0]["state"] == "approved"


def test_marked_paid_the_money_is_at_the_provider_and_the_limit_is_used(cashier: Cashier) -> None:
    payout_id = doubtful(cashier)
    assert cashier.reserved() == 100
    cashier.command("mark_paid", payout_id)
    assert (cashier.wallet(), cashier.held(), cashier.reserved()) == (900, 0, 100)
    assert cashier.balance("provider:sandbox:clearing") == 100
    assert attempts(cashier, payout_id) == [("paid", cashier.now)]


def test_marked_failed_the_money_and_the_limit_are_the_owners_again(cashier: Cashier) -> None:
    payout_id = doubtful(cashier)
    cashier.command("mark_failed", payout_id)
    assert (cashier.wallet(), cashier.held(), cashier.reserved()) == (1000, 0, 0)
    assert cashier.payout(payout_id)["failure_code"] == "marked_failed"
    assert attempts(cashier, payout_id) == [("failed", cashier.now)]


def attempts(cashier: Cashier, payout_id: UUID) -> list[tuple[Any, ...]]:
    rows = cashier.rows(
        "SELECT outcome, finished_at FROM payout_attempts WHERE payout_id = :id ORDER BY attempt_no",
        id=payout_id,
    )
    return [tuple(row.values()) for row in rows]


def test_cancelled_the_attempt_that_was_not_sent_is_given_up(cashier: Cashier) -> None:
    payout_id = cashier.opened(100)
    cashier.attempt(payout_id, "declined")
    cashier.attempt(payout_id, "not_sent", attempt_no=2, error_code="throttled")
    cashier.cooling(payout_id)
    assert cashier.command("cancel", payout_id)["state"] == "cancelled"
    assert attempts(cashier, payout_id) == [("declined", cashier.now), ("abandoned", cashier.now)]


def test_what_a_frozen_process_may_still_send_is_not_cancelled(cashier: Cashier) -> None:
    payout_id = cashier.opened(100)
    cashier.attempt(payout_id, "not_sent", error_code="lost")
    cashier.cooling(payout_id)
    refused = cashier.command("cancel", payout_id)
    assert (refused["code"], refused["attempt_no"]) == ("attempt_lost", 1)
    assert (cashier.state(payout_id), cashier.held()) == ("cooling", 100)
    assert attempts(cashier, payout_id) == [("not_sent", None)]


@pytest.mark.parametrize(
    ("word", "state", "outcome", "gone"),
    [("mark_paid", "paid", "paid", 100), ("mark_failed", "cancelled", "failed", 0)],
)
def test_a_person_ends_what_a_frozen_process_may_still_send(
    cashier: Cashier, word: str, state: str, outcome: str, gone: int
) -> None:
    payout_id = cashier.opened(100)
    cashier.attempt(payout_id, "not_sent", error_code="lost")
    cashier.cooling(payout_id)
    assert cashier.command(word, payout_id)["state"] == state
    assert attempts(cashier, payout_id) == [(outcome, cashier.now)]
    assert (cashier.held(), cashier.balance("provider:sandbox:clearing")) == (0, gone)


def test_a_retry_inside_the_cooldown_says_how_long_it_lasts(cashier: Cashier) -> None:
    payout_id = cashier.opened(100)
    cashier.cooling(payout_id, seconds=300)
    until = cashier.now + timedelta(seconds=300)
    cashier.now += timedelta(seconds=1)
    refused = cashier.command("retry", payout_id)
    assert (refused["code"], refused["seconds_left"], refused["retry_at"]) == (
        "cooldown_active", 299, until.isoformat(),
    )  # fmt: skip
    assert cashier.payout(payout_id)["next_attempt_at"] == until
    assert cashier.rows("SELECT * FROM audit_events WHERE action = 'payouts.retry'") == []


def test_a_retry_after_the_cooldown_comes_before_the_plan_and_is_no_move(cashier: Cashier) -> None:
    """The backoff has planned an hour; the tenant's cooldown is over after 5 minutes."""
    payout_id = cashier.opened(100)
    cashier.cooling(payout_id, seconds=300)
    hour = cashier.now + timedelta(hours=1)
    cashier.rows(
        "UPDATE payouts SET next_attempt_at = :at WHERE id = :id RETURNING id", at=hour, id=payout_id
    )
    version = cashier.payout(payout_id)["version"]
    cashier.now += timedelta(seconds=300)
    assert cashier.command("retry", payout_id)["state"] == "cooling"
    payout = cashier.payout(payout_id)
    assert (payout["next_attempt_at"], payout["version"], payout["state"]) == (
        cashier.now,
        version,
        "cooling",
    )
    assert cashier.events(payout_id)[-1] == ("retried", None, None)
    [audit] = cashier.rows("SELECT * FROM audit_events WHERE action = 'payouts.retry'")
    assert (audit["actor"], audit["reason"], audit["subject"]) == (
        SIGNED["actor"], SIGNED["reason"], f"payout:{payout_id}",
    )  # fmt: skip


@pytest.mark.parametrize("state", ["cooling", "failed"])
def test_a_retry_over_the_limit_names_it(cashier: Cashier, state: State) -> None:
    payout_id = cashier.opened(100)
    over = {"attempts_made": 4}
    change = cooled(cashier.now) if state == "cooling" else ended("failed", "insufficient_funds")
    cashier.sent(payout_id, change | over)
    refused = cashier.command("retry", payout_id)
    assert (refused["code"], refused["attempts_made"], refused["limit"]) == ("retry_limit_reached", 4, 3)


@pytest.mark.parametrize("command", COMMANDS)
def test_another_tenants_payout_is_unknown(cashier: Cashier, other_cashier: Cashier, command: str) -> None:
    payout_id = waiting(cashier)
    before = cashier.payout(payout_id)
    assert other_cashier.command(command, payout_id)["code"] == "unknown_payout"
    assert cashier.payout(payout_id) == before
    assert other_cashier.rows("SELECT * FROM audit_events WHERE action LIKE 'payouts.%'") == []


def test_of_two_commands_for_one_payout_the_first_counts(cashier: Cashier) -> None:
    payout_id = waiting(cashier)
    asked = {"payout_id": str(payout_id), **SIGNED}
    first, second = cashier.do("payouts.approve", asked, {**asked, "actor": "ops:eve"})
    assert (first["state"], second.get("code")) == ("approved", "wrong_state")
    assert cashier.payout(payout_id)["approved_by"] == "ops:dana"


def test_a_command_spelled_in_capitals_finds_its_payout(cashier: Cashier) -> None:
    payout_id = cashier.opened(100)
    assert cashier.command("cancel", str(payout_id).upper())["state"] == "cancelled"


@pytest.mark.parametrize("name", ["approve", "cancel", "retry"])
def test_a_run_of_commands_costs_the_same_statements_for_1_and_100(
    cashier: Cashier, engine: Engine, name: str
) -> None:
    cashier.fund("rich", 10**6)
    cashier.policy(approval_threshold_minor=0 if name == "approve" else None)
    sent = []
    for number in (1, 100):
        opened = [UUID(one["payout_id"]) for one in cashier.request(*([10] * number), owner="rich")]
        for payout_id in opened if name == "retry" else ():
            cashier.cooling(payout_id, seconds=0)
        cashier.hand_in(f"payouts.{name}", *({"payout_id": str(one), **SIGNED} for one in opened))
        with counting_statements(engine) as statements:
            cashier.drain()
        sent.append(len(statements))
    assert sent[1] <= sent[0]
