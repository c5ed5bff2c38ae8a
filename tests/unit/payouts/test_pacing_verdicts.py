"""What answers and look-ups make of a payout, as a table; and what no sequence of them may ever do."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.payouts.payout import Attempt, Payout
from models.payouts.states import ASKED_STATES, LIVE_OUTCOMES, MOVES, NOT_DONE_OUTCOMES
from models.tenants import Policy
from tasks.payouts.decisions import Case, Decision, was_sent
from tasks.payouts.pacing import LOST
from tasks.payouts.sightings import decide_sighting
from tasks.payouts.verdicts import decide_answer, lose
from tests.unit.payouts.payouts import NOON, a_payout, an_attempt
from worker.providers.payouts.port import (
    Answer,
    Declined,
    Found,
    InDoubt,
    NotFound,
    NotSent,
    Sighting,
    Stopped,
    Submitted,
    Unsure,
)

VALID = NOON + timedelta(days=1)


def sending(**others: Any) -> Payout:
    return a_payout("sending", claim_version=1, claimed_until=NOON, **others)


def doubtful(**others: Any) -> Payout:
    known = {"claim_version": 1, "in_doubt_since": NOON, "next_lookup_at": NOON} | others
    return a_payout("in_doubt", **known)


def a_case(payout: Payout, *attempts: Attempt, policy: Policy | None = None, **others: Any) -> Case:
    known = attempts or (an_attempt("sending"),)
    return Case(payout, known, known[-1].attempt_no, policy or Policy(), **{"now": NOON, **others})


def states(decision: Decision) -> list[str]:
    return [step.after.state for step in decision.steps]


@pytest.mark.parametrize(
    ("answer", "path", "outcome", "made"),
    [
        (Submitted("po"), ["submitted"], "submitted", 1),
        (Submitted("po", "paid"), ["paid"], "paid", 1),
        (Submitted("po", "failed"), ["failed"], "failed", 1),
        (Submitted("po", "returned", "bounced"), ["paid", "returned"], "returned", 1),
        (Declined("busy", retryable=True), ["cooling"], "declined", 1),
        (Declined("closed", retryable=False), ["failed"], "declined", 1),
        (NotSent("throttled"), ["cooling"], "not_sent", 0),
        (NotSent("refused", down=True), ["cooling"], "not_sent", 0),
        (Stopped("unauthorized"), ["cooling"], "not_sent", 0),
        (InDoubt("timeout"), ["in_doubt"], "in_doubt", 1),
    ],
)
def test_the_answer_to_the_call(answer: Answer, path: list[str], outcome: str, made: int) -> None:
    decision = decide_answer(a_case(sending()), 1, answer)
    assert (states(decision), decision.attempt.outcome, decision.payout.attempts_made) == (
        path,
        outcome,
        made,
    )
    assert (decision.attempt.finished_at is None) == (outcome in ("not_sent", "in_doubt"))
    ends = decision.payout
    assert (ends.failure_code is not None) == (ends.state in ("failed", "returned"))


@pytest.mark.parametrize(
    ("limit", "attempt_no", "state"), [(3, 3, "cooling"), (3, 4, "failed"), (0, 1, "failed")]
)
def test_the_attempt_after_the_last_is_none(limit: int, attempt_no: int, state: str) -> None:
    attempts = [an_attempt("declined", number) for number in range(1, attempt_no)]
    case = a_case(
        sending(), *attempts, an_attempt("sending", attempt_no), policy=Policy(payout_retry_limit=limit)
    )
    decision = decide_answer(case, 1, Declined("busy", retryable=True))
    assert (states(decision), decision.payout.attempts_made) == ([state], attempt_no)


def test_abandoned_and_throttled_attempts_do_not_count() -> None:
    attempts = [an_attempt("abandoned", 1), an_attempt("declined", 2), an_attempt("sending", 3)]
    case = a_case(sending(), *attempts, policy=Policy(payout_retry_limit=2))
    decision = decide_answer(case, 1, Declined("busy", retryable=True))
    assert (states(decision), decision.payout.attempts_made) == (["cooling"], 2)


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [(None, 300), (10, 300), (900, 900), (1e12, 7 * 86_400), (-5, 300)]
)
def test_a_longer_retry_after_is_obeyed_within_reason(retry_after: float | None, seconds: int) -> None:
    decision = decide_answer(a_case(sending()), 1, Declined("busy", True, retry_after))
    at = NOON + timedelta(seconds=seconds)
    assert (decision.payout.next_attempt_at, decision.payout.cooldown_until) == (at, at)


@pytest.mark.parametrize(
    ("sends", "retry_after", "seconds"), [(1, None, 1), (4, None, 8), (4, 60, 60), (9, 5, 60)]
)
def test_what_was_not_sent_waits_for_the_longer(sends: int, retry_after: float | None, seconds: int) -> None:
    case = a_case(sending(), an_attempt("sending", sends=sends))
    decision = decide_answer(case, 1, NotSent("throttled", retry_after))
    assert decision.payout.next_attempt_at == NOON + timedelta(seconds=seconds)


ANSWERS: list[Answer] = [
    Submitted("po"), Submitted("po", "paid"), Submitted("po", "failed"), Declined("x", True), Declined("x", False),
    NotSent("x"), Stopped("x"), InDoubt("x"),
]  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS[3:])
@pytest.mark.parametrize(
    "state", ["sending", "in_doubt", "cooling", "submitted", "paid", "failed", "cancelled"]
)
def test_an_older_claim_proves_no_failure(answer: Answer, state: Any) -> None:
    payout = a_payout(state, claim_version=2)
    assert states(decide_answer(a_case(payout), 1, answer)) == []


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(one, state) for one in (*NOT_DONE_OUTCOMES, "failed") for state in ("failed", "cancelled", "sending")]
    + [("failed", "cooling")],
)
def test_money_that_left_for_a_dead_attempt_is_a_finding(outcome: str, state: Any) -> None:
    attempts = (
        [an_attempt(outcome, 1), an_attempt("sending", 2)] if state == "sending" else [an_attempt(outcome)]
    )
    case = Case(a_payout(state, claim_version=2), attempts, 1, Policy(), NOON)
    decision = decide_answer(case, 1, Submitted("po"))
    assert (states(decision), decision.finding) == ([], "status_mismatch")


@pytest.mark.parametrize("waiting", [None, "throttled", LOST])
@pytest.mark.parametrize("outcome", NOT_DONE_OUTCOMES)
@pytest.mark.parametrize("status", ["submitted", "paid"])
def test_what_was_done_after_all_is_not_sent_again(outcome: str, status: Any, waiting: str | None) -> None:
    """As a webhook that says so; the attempt that waits to be sent is given up."""
    attempts = [an_attempt(outcome, 1, finished_at=NOON)]
    if waiting:
        attempts.append(an_attempt("not_sent", 2, error_code=waiting))
    case = Case(a_payout("cooling", claim_version=2, next_attempt_at=NOON), attempts, 1, Policy(), NOON)
    decision = decide_answer(case, 1, Submitted("po", status))
    assert (states(decision), decision.attempt.outcome, decision.finding) == ([status], status, None)
    assert decision.payout.next_attempt_at is None
    given_up = decision.given_up and (decision.given_up.attempt_no, decision.given_up.outcome)
    assert given_up == ((2, "abandoned") if waiting else None)


def test_what_was_not_done_and_failed_is_no_news() -> None:
    case = a_case(a_payout("cooling", claim_version=2), an_attempt("declined"))
    assert states(decide_answer(case, 1, Submitted("po", "failed"))) == []


@pytest.mark.parametrize("state", ["sending", "in_doubt"])
def test_money_that_came_back_at_once_is_a_finding_too(state: str) -> None:
    if state == "sending":
        decision = decide_answer(a_case(sending()), 1, Submitted("po", "returned"))
    else:
        case = a_case(doubtful(), an_attempt("in_doubt"))
        decision = asked(case, Found("po", "returned", 100, "EUR"))
    assert (states(decision), decision.finding) == (["paid", "returned"], "late_reversal")


@pytest.mark.parametrize(
    ("outcome", "state"), [("submitted", "submitted"), ("paid", "paid"), ("returned", "returned")]
)
def test_what_a_webhook_has_told_already_is_no_news(outcome: str, state: Any) -> None:
    case = a_case(a_payout(state, claim_version=1), an_attempt(outcome, finished_at=NOON))
    decision = decide_answer(case, 1, Submitted("po"))
    assert (states(decision), decision.finding, decision.attempt.object_id) == ([], None, "po")


def asked(case: Case, sighting: Sighting, *, after: float = 10) -> Decision:
    return decide_sighting(case, sighting, asked_at=NOON + timedelta(seconds=after), settle_seconds=10)


@pytest.mark.parametrize(
    ("code", "after", "path", "outcome"),
    [
        ("timeout", 9.999, [], "in_doubt"),
        ("timeout", 10, ["cooling"], "not_found"),
        (LOST, 9.999, [], "in_doubt"),
        (LOST, 10, ["cooling"], "not_sent"),
    ],
)
def test_an_absence(code: str, after: float, path: list[str], outcome: str) -> None:
    case = a_case(doubtful(), an_attempt("in_doubt", error_code=code, key_valid_until=VALID))
    decision = asked(case, NotFound(), after=after)
    assert (states(decision), decision.attempt.outcome) == (path, outcome)
    assert decision.attempt.error_code == (LOST if code == LOST else decision.attempt.error_code)


def test_an_absence_of_a_lost_one_whose_key_is_too_old_proves_nothing() -> None:
    case = a_case(doubtful(), an_attempt("in_doubt", error_code=LOST, key_valid_until=NOON))
    decision = asked(case, NotFound())
    assert (states(decision), decision.finding) == ([], "in_doubt_overdue")


@pytest.mark.parametrize("ladder", [[], [1], [30, 120, 600, 3600, 21600]])
def test_every_rung_then_daily(ladder: Sequence[int]) -> None:
    payout, waits, findings = doubtful(), [], []
    for _ in range(len(ladder) + 2):
        decision = asked(
            a_case(payout, an_attempt("in_doubt"), policy=Policy(in_doubt_ladder_seconds=ladder)), Unsure("x")
        )
        payout = decision.payout
        assert payout.next_lookup_at is not None
        waits.append((payout.next_lookup_at - NOON).total_seconds())
        findings.append(decision.finding)
    assert waits == [*ladder[1:], 86_400, 86_400, 86_400][: len(waits)]
    assert findings[: max(len(ladder) - 1, 0)] == [None] * max(len(ladder) - 1, 0)
    assert set(findings[max(len(ladder) - 1, 0) :]) == {"in_doubt_overdue"}


def test_lost_stays_lost_while_it_lives() -> None:
    lost = lose(a_case(sending()))
    assert (lost.attempt.error_code, lost.payout.state, lost.payout.attempts_made) == (LOST, "in_doubt", 0)
    again = replace(lost.attempt, outcome="sending")
    for answer in (NotSent("throttled"), InDoubt("timeout"), Stopped("unauthorized")):
        assert decide_answer(a_case(sending(), again), 1, answer).attempt.error_code == LOST


def test_an_attempt_counts_once_it_was_sent_for_certain() -> None:
    assert [one for one in ("in_doubt", "submitted", "paid", "returned", "declined", "failed", "not_found",
                            "sending", "not_sent", "abandoned") if was_sent(an_attempt(one))] == [
        "in_doubt", "submitted", "paid", "returned", "declined", "failed", "not_found"]  # fmt: skip
    assert not was_sent(an_attempt("in_doubt", error_code=LOST))


events = st.one_of(
    st.sampled_from(ANSWERS).map(lambda answer: ("answer", answer)),
    st.sampled_from([NotFound(), Unsure("x"), Found("po", "submitted", 100, "EUR"), Found("po", "paid", 100, "EUR"),
                     Found("po", "failed", 100, "EUR"), Found("po", "returned", 100, "EUR"),
                     Found("po", "paid", 1, "EUR")]).map(lambda sighting: ("look-up", sighting)),
    st.just(("lost", None)),
)  # fmt: skip


@given(
    told=st.lists(st.tuples(events, st.integers(1, 2), st.floats(0, 100)), max_size=8),
    state=st.sampled_from(["sending", "in_doubt", "submitted"]),
)
def test_no_sequence_makes_an_impossible_move(told: list[Any], state: str) -> None:
    """Every step is one of the moves there are; while money may be out, its attempt is alive."""
    begun = {
        "sending": sending(),
        "in_doubt": doubtful(),
        "submitted": a_payout("submitted", next_lookup_at=NOON),
    }
    payout = replace(begun[state], claim_version=2)
    attempt = an_attempt(state, key_valid_until=VALID, claim_version=2)
    for (kind, said), claim_version, after in told:
        case = a_case(payout, attempt)
        if kind == "answer":
            decision = decide_answer(case, claim_version, said)
        elif kind == "look-up" and payout.state in ASKED_STATES:
            decision = asked(case, said, after=after)
        elif kind == "lost" and payout.state == "sending":
            decision = lose(case)
        else:
            continue
        for step in decision.steps:
            assert step.after.state in MOVES[payout.state]
            payout = step.after
        attempt = decision.attempt
        if payout.state in ("sending", "in_doubt", "submitted", "paid"):
            assert attempt.outcome in LIVE_OUTCOMES
        if payout.state == "cooling":
            assert attempt.outcome in ("not_sent", "declined", "not_found")
