"""When a payout is sent: keys, places, token buckets and breakers."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.provider_accounts import ProviderAccount
from tasks.payouts import pacing
from tasks.payouts.pacing import (
    KEY_MARGIN_SECONDS,
    LOST,
    Hopeless,
    Send,
    after_answer,
    after_dispatch,
    free_places,
    may_claim,
    not_sent_seconds,
    refilled,
)
from tests.unit.payouts.payouts import NOON, a_payout, an_attempt
from worker.providers.payouts.port import Answer, Declined, InDoubt, NotSent, Rules, Stopped, Submitted

RULES = Rules(key_valid_seconds=86_400, settle_seconds=10)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def an_account(**others: Any) -> ProviderAccount:
    given: dict[str, Any] = {
        "tenant": "acme", "provider": "sandbox", "adapter": "sandbox", "enabled": True, "paused_at": None,
        "paused_by": None, "breaker": "closed", "failures_in_a_row": 0, "opens_in_a_row": 0, "breaker_code": None,
        "probe_at": None, "max_in_flight": 16, "per_second": None, "allowance": 0.0, "allowance_at": None,
    }  # fmt: skip
    return ProviderAccount(**given | others)


def chosen(*attempts: Any, **payout: Any) -> Send | Hopeless:
    return pacing.claim(a_payout(**payout), attempts, RULES, 10, NOON)


def test_a_first_attempt_has_the_first_key() -> None:
    first = chosen(next_attempt_at=NOON)
    assert isinstance(first, Send)
    assert (first.attempt.attempt_no, first.attempt.sends, first.attempt.outcome) == (1, 1, "sending")
    assert first.attempt.key_valid_until == NOON + seconds(86_400)
    assert (first.after.state, first.after.claim_version, first.after.next_attempt_at) == ("sending", 1, None)
    assert first.after.claimed_until == NOON + seconds(40)
    assert first.attempt.claim_version == first.after.claim_version


@pytest.mark.parametrize("outcome", ["declined", "not_found", "abandoned"])
def test_after_a_proven_failure_comes_the_next_key(outcome: str) -> None:
    following = chosen(an_attempt(outcome), state="cooling", claim_version=1)
    assert isinstance(following, Send)
    assert (following.attempt.attempt_no, following.given_up) == (2, None)
    assert following.attempt.provider_key != an_attempt().provider_key


@pytest.mark.parametrize(
    ("valid_for", "code", "attempt_no", "given_up"),
    [
        (KEY_MARGIN_SECONDS + 1, "throttled", 1, None),
        (KEY_MARGIN_SECONDS + 1, LOST, 1, None),
        (KEY_MARGIN_SECONDS, "throttled", 2, "abandoned"),
        (0, "throttled", 2, "abandoned"),
        (-1, "throttled", 2, "abandoned"),
    ],
)
def test_what_was_not_sent_keeps_its_key_while_that_is_good(
    valid_for: int, code: str, attempt_no: int, given_up: str | None
) -> None:
    waiting = an_attempt("not_sent", error_code=code, key_valid_until=NOON + seconds(valid_for))
    again = chosen(waiting, state="cooling", claim_version=1)
    assert isinstance(again, Send)
    assert again.attempt.attempt_no == attempt_no
    assert (again.given_up and again.given_up.outcome) == given_up
    if attempt_no == 1:
        assert (again.attempt.provider_key, again.attempt.sends) == (waiting.provider_key, 2)
        assert again.attempt.first_used_at == waiting.first_used_at


def test_a_lost_one_is_never_given_up() -> None:
    waiting = an_attempt("not_sent", error_code=LOST, key_valid_until=NOON)
    doubt = chosen(waiting, state="cooling", claim_version=1)
    assert isinstance(doubt, Hopeless)
    assert (doubt.attempt.outcome, doubt.after.state, doubt.after.in_doubt_since) == (
        "in_doubt",
        "in_doubt",
        NOON,
    )


@pytest.mark.parametrize(
    ("account", "payout", "may"),
    [
        ({}, {}, True),
        ({"breaker": "half_open", "probe_at": NOON}, {}, True),
        ({"breaker": "open", "probe_at": NOON}, {}, False),
        ({"enabled": False}, {}, False),
        ({"paused_at": NOON}, {}, False),
        ({"tenant_paused": True}, {}, False),
        ({}, {"state": "cooling"}, True),
        ({}, {"next_attempt_at": NOON + seconds(1)}, False),
        ({}, {"dispatched_until": NOON}, False),
        ({}, {"dispatched_until": None}, False),
        *[({}, {"state": state}, False) for state in ("sending", "in_doubt", "submitted", "paid", "failed")],
    ],
)
def test_who_may_be_claimed(account: dict[str, Any], payout: dict[str, Any], may: bool) -> None:
    due = {"next_attempt_at": NOON, "dispatched_until": NOON + seconds(15)} | payout
    assert may_claim(an_account(**account), a_payout(**due), NOON) is may
    assert may_claim(None, a_payout(**due), NOON) is False


def test_waits_of_what_was_not_sent() -> None:
    assert [not_sent_seconds(sends) for sends in (1, 2, 3, 4, 5, 6, 7, 8, 1000)] == [
        1,
        2,
        4,
        8,
        16,
        32,
        60,
        60,
        60,
    ]


@pytest.mark.parametrize(
    ("account", "under_way", "free"),
    [
        ({}, 0, 16),
        ({}, 15, 1),
        ({}, 16, 0),
        ({}, 40, 0),
        ({"max_in_flight": 3}, 1, 2),
        ({"per_second": 5.0}, 0, 5),
        ({"per_second": 5.0}, 14, 2),
        ({"per_second": 0.1}, 0, 1),
        ({"per_second": 0.1, "allowance_at": NOON}, 0, 0),
        ({"enabled": False}, 0, 0),
        ({"paused_at": NOON}, 0, 0),
        ({"tenant_paused": True}, 0, 0),
        ({"breaker": "open", "probe_at": NOON + seconds(1)}, 0, 0),
        ({"breaker": "open", "probe_at": NOON}, 0, 1),
        ({"breaker": "open", "probe_at": NOON}, 1, 0),
        ({"breaker": "half_open", "probe_at": NOON}, 0, 1),
        ({"breaker": "half_open", "probe_at": NOON}, 1, 0),
        ({"breaker": "open", "probe_at": NOON, "per_second": 1.0, "allowance_at": NOON}, 0, 0),
    ],
)
def test_free_places(account: dict[str, Any], under_way: int, free: int) -> None:
    assert free_places(an_account(**account), under_way, NOON) == free


@given(
    per_second=st.floats(0.01, 1000),
    pauses=st.lists(st.tuples(st.floats(-10, 100), st.integers(0, 50)), max_size=59),
)
def test_a_bucket_lets_no_more_through_than_its_rate(
    per_second: float, pauses: list[tuple[float, int]]
) -> None:
    """However the clock jumps: what went in any stretch is at most a second's worth and what flowed in since."""
    account, now, spent, elapsed = an_account(per_second=per_second, max_in_flight=1000), NOON, 0, 0.0
    newest = NOON + seconds(pauses[0][0] if pauses else 0)
    for pause, wanted in pauses:
        now += seconds(pause)
        elapsed += max((now - newest).total_seconds(), 0.0)
        newest = max(newest, now)
        taken = min(wanted, free_places(account, 0, now))
        account = after_dispatch(account, taken, now)
        spent += taken
        assert account.allowance >= 0
        assert spent <= max(per_second, 1.0) + per_second * elapsed + 1e-6


def test_a_clock_put_back_by_an_hour_does_not_stop_an_account_for_an_hour() -> None:
    account = after_dispatch(an_account(per_second=2.0), 2, NOON)
    assert free_places(account, 0, NOON - seconds(599)) == 0
    assert free_places(account, 0, NOON - seconds(3600)) == 2
    spent = after_dispatch(account, 2, NOON - seconds(3600))
    assert free_places(spent, 0, NOON - seconds(3600)) == 0


def test_without_a_rate_nothing_is_counted() -> None:
    assert refilled(an_account(), NOON) == an_account()
    assert after_dispatch(an_account(), 5, NOON) == an_account()


def after(account: ProviderAccount, *answers: Answer) -> ProviderAccount:
    for answer in answers:
        account = after_answer(account, answer, NOON)
    return account


FAILURES: list[Answer] = [InDoubt("timeout"), NotSent("no_connection", down=True)]


@pytest.mark.parametrize("failure", FAILURES)
def test_five_in_a_row_open_it(failure: Answer) -> None:
    assert after(an_account(), *[failure] * 4).breaker == "closed"
    opened = after(an_account(), *[failure] * 5)
    assert (opened.breaker, opened.probe_at, opened.breaker_code) == (
        "open",
        NOON + seconds(30),
        failure.code,
    )


@pytest.mark.parametrize(
    "answer", [Submitted("po_1"), Declined("x", retryable=True), Declined("x", retryable=False)]
)
@pytest.mark.parametrize("breaker", ["closed", "open", "half_open"])
def test_an_answer_closes_it(answer: Answer, breaker: Any) -> None:
    probe_at = None if breaker == "closed" else NOON
    before = an_account(
        breaker=breaker, probe_at=probe_at, failures_in_a_row=7, opens_in_a_row=3, breaker_code="x"
    )
    assert after(before, answer) == an_account()


def test_throttling_is_no_failure_and_lets_the_next_probe_go() -> None:
    assert after(an_account(), *[NotSent("throttled")] * 9) == an_account()
    probing = an_account(breaker="half_open", probe_at=NOON + seconds(15), opens_in_a_row=1)
    assert after(probing, NotSent("throttled")) == replace(probing, probe_at=NOON)


def test_a_refused_account_opens_at_once() -> None:
    assert after(an_account(), Stopped("unauthorized")).breaker == "open"


@pytest.mark.parametrize("answer", [*FAILURES, Stopped("unauthorized")])
def test_a_failed_probe_opens_it_for_twice_as_long(answer: Answer) -> None:
    account, waits = an_account(), []
    for _ in range(7):
        account = after(replace(account, breaker="half_open", probe_at=NOON), answer)
        assert account.probe_at is not None
        waits.append((account.probe_at - NOON).total_seconds())
    assert waits == [30, 60, 120, 240, 480, 600, 600]


@pytest.mark.parametrize("answer", [*FAILURES, Stopped("unauthorized")])
def test_what_was_under_way_opens_it_no_further(answer: Answer) -> None:
    opened = after(an_account(), Stopped("unauthorized"))
    assert after(opened, *[answer] * 16) == opened


def test_only_what_took_a_place_is_the_probe() -> None:
    opened = an_account(breaker="open", probe_at=NOON)
    assert after_dispatch(opened, 0, NOON) == opened
    assert after_dispatch(opened, 1, NOON) == replace(
        opened, breaker="half_open", probe_at=NOON + seconds(15)
    )
