"""One attempt: claimed, called, recorded - once, whatever is answered and whoever else is at it."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import redis

from models.payouts.payout import attempt_key, attempt_reference
from tasks.payouts.attempts import attempt, call, claim, record
from tasks.payouts.hands import Hands
from tasks.payouts.pacing import KEY_MARGIN_SECONDS, SEND_WITHIN_SECONDS
from tests.integration.payouts.attempting import *  # noqa: F403 - the fixtures
from tests.integration.payouts.attempting import Till
from worker.locks import PayoutLocks
from worker.providers.payouts.port import Answer, Declined, InDoubt, NotSent, Submitted

DAY = 24 * 3600


def claimed_by_hand(till: Till, payout_id: UUID):  # type: ignore[no-untyped-def]
    return claim(till.hands, payout_id)


def test_a_payout_is_sent_and_paid_once(till: Till) -> None:
    payout_id = till.opened(250)
    assert till.send(payout_id) == "submitted"
    [sent] = till.attempts(payout_id)
    assert (sent.outcome, sent.sends, sent.provider_key) == ("submitted", 1, attempt_key(payout_id, 1))
    assert sent.reference == attempt_reference(payout_id, 1)
    assert till.payout(payout_id)["provider_reference"] == sent.object_id
    assert till.payout(payout_id)["attempts_made"] == 1
    till.settle()
    assert (till.state(payout_id), till.left(payout_id)) == ("paid", (1, 0))
    assert (till.cashier.held(), till.cashier.balance("provider:sandbox:clearing")) == (0, 250)


def test_nothing_is_sent_without_a_place(till: Till) -> None:
    payout_id = till.opened()
    attempt(till.hands, payout_id)
    assert (till.state(payout_id), till.attempts(payout_id)) == ("approved", [])
    assert till.dispatched() == [payout_id]
    till.later(16)
    attempt(till.hands, payout_id)
    assert (till.state(payout_id), till.left(payout_id)) == ("approved", (0, 0))


def test_an_unknown_payout_is_nobodys_work(till: Till) -> None:
    assert attempt(till.hands, uuid4()) is None


@pytest.mark.parametrize("times", [2, 5])
def test_the_same_message_again_sends_nothing_more(till: Till, times: int) -> None:
    payout_id = till.opened()
    till.dispatched()
    for _ in range(times):
        attempt(till.hands, payout_id)
    assert (till.state(payout_id), till.left(payout_id)) == ("submitted", (1, 0))


@pytest.mark.parametrize("with_lock", [True, False])
def test_two_workers_on_one_payout_send_it_once(till: Till, with_lock: bool, redis_url: str) -> None:
    locks = till.hands.locks if with_lock else PayoutLocks("redis://127.0.0.1:1/0")
    hands = till.with_hands(locks=locks)
    for _ in range(5):
        payout_id = till.opened()
        till.dispatched()
        together = threading.Barrier(2)

        def work(payout_id: UUID = payout_id, together: threading.Barrier = together) -> None:
            together.wait()
            attempt(hands, payout_id)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (till.state(payout_id), till.left(payout_id)) == ("submitted", (1, 0))
        assert [one.sends for one in till.attempts(payout_id)] == [1]


def test_a_lock_that_another_has_leaves_the_payout_alone(till: Till) -> None:
    payout_id = till.opened()
    till.dispatched()
    with till.hands.locks.held(payout_id, 30) as ours:
        assert ours is not None
        attempt(till.hands, payout_id)
        assert till.state(payout_id) == "approved"
    attempt(till.hands, payout_id)
    assert till.state(payout_id) == "submitted"


def test_a_lock_that_was_lost_to_another_stops_the_call(till: Till, redis_url: str) -> None:
    payout_id = till.opened()
    till.dispatched()
    with till.hands.locks.held(payout_id, 30) as lock:
        assert lock is not None
        claimed = claimed_by_hand(till, payout_id)
        with redis.Redis.from_url(redis_url) as client:
            client.set(f"ledgerbeat:payout:{payout_id}", "another")
        later = till.with_hands(ticks=lambda: claimed.send_before - SEND_WITHIN_SECONDS + 1)
        assert call(later, claimed, lock) == NotSent("lock_lost")
        with redis.Redis.from_url(redis_url) as client:
            client.flushdb()
        assert isinstance(call(later, claimed, lock), Submitted), "lost with Redis, it is ours again"


def test_a_process_that_slept_sends_nothing(till: Till) -> None:
    asleep = iter([0.0, SEND_WITHIN_SECONDS + 0.0])
    payout_id = till.opened()
    till.dispatched()
    attempt(till.with_hands(ticks=lambda: next(asleep, 1e9)), payout_id)
    assert (till.state(payout_id), till.left(payout_id)) == ("cooling", (0, 0))
    [sent] = till.attempts(payout_id)
    assert (sent.outcome, sent.error_code) == ("not_sent", "too_late")
    till.finish(payout_id)
    assert (till.state(payout_id), till.left(payout_id), till.outcomes(payout_id)) == (
        "paid",
        (1, 0),
        ["paid"],
    )


@pytest.mark.parametrize(
    ("fault", "state", "outcome", "left"),
    [
        ("decline_retryable:1", "cooling", "declined", 0),
        ("decline_final", "failed", "declined", 0),
        ("rate_limit:7", "cooling", "not_sent", 0),
        ("timeout_before", "in_doubt", "in_doubt", 0),
        ("timeout_after", "in_doubt", "in_doubt", 1),
        ("error_500", "in_doubt", "in_doubt", 0),
        ("error_500_after", "in_doubt", "in_doubt", 1),
        ("garbage", "in_doubt", "in_doubt", 1),
    ],
)
def test_every_fault_comes_to_its_state(till: Till, fault: str, state: str, outcome: str, left: int) -> None:
    payout_id = till.opened(10, f"fault:{fault}")
    assert till.send(payout_id) == state
    assert till.outcomes(payout_id) == [outcome]
    assert till.left(payout_id) == (left, 0)
    assert till.cashier.held() == (0 if state == "failed" else 10)


def test_a_decline_cools_down_and_then_takes_the_next_key(till: Till) -> None:
    payout_id = till.opened(10, "fault:decline_retryable:1")
    till.send(payout_id)
    row = till.payout(payout_id)
    assert row["next_attempt_at"] == row["cooldown_until"] == till.cashier.now + timedelta(seconds=300)
    till.later(299)
    assert till.dispatched() == []
    till.later(1)
    assert till.send(payout_id) == "submitted"
    assert [one.attempt_no for one in till.attempts(payout_id)] == [1, 2]
    assert till.payout(payout_id)["attempts_made"] == 2


def test_at_the_limit_it_fails_and_gives_everything_back_once(till: Till) -> None:
    till.cashier.policy(payout_retry_limit=2, payout_cooldown_seconds=10)
    payout_id = till.opened(10, "fault:decline_retryable:9")
    before = till.cashier.wallet()
    till.finish(payout_id)
    row = till.payout(payout_id)
    assert (row["state"], row["failure_code"], row["attempts_made"]) == ("failed", "bank_unavailable", 3)
    assert till.outcomes(payout_id) == ["declined"] * 3
    assert (till.cashier.wallet(), till.cashier.reserved(), till.left(payout_id)) == (before + 10, 0, (0, 0))


def test_throttling_spends_no_attempt_and_keeps_the_key(till: Till) -> None:
    payout_id = till.opened(10, "fault:rate_limit:7*3")
    for sends in range(1, 4):
        assert till.send(payout_id) == "cooling"
        row = till.payout(payout_id)
        assert row["attempts_made"] == 0
        assert row["next_attempt_at"] == till.cashier.now + timedelta(seconds=7)
        assert [one.sends for one in till.attempts(payout_id)] == [sends]
        till.later(7)
    assert till.send(payout_id) == "submitted"
    assert [(one.attempt_no, one.sends) for one in till.attempts(payout_id)] == [(1, 4)]


def test_a_key_that_grows_old_is_given_up_only_when_it_was_never_sent(till: Till) -> None:
    payout_id = till.opened(10, "fault:rate_limit:1")
    till.send(payout_id)
    till.later(DAY - KEY_MARGIN_SECONDS - 1)
    [usable] = till.attempts(payout_id)
    till.account(paused_at=till.cashier.now)
    assert till.dispatched() == []
    till.account(paused_at=None)
    till.later(1)
    assert till.send(payout_id) == "submitted"
    assert till.outcomes(payout_id) == ["abandoned", "submitted"]
    assert till.attempts(payout_id)[1].provider_key != usable.provider_key


def test_a_key_is_used_until_its_margin(till: Till) -> None:
    payout_id = till.opened(10, "fault:rate_limit:1")
    till.send(payout_id)
    till.later(DAY - KEY_MARGIN_SECONDS - 1)
    assert till.send(payout_id) == "submitted"
    assert till.outcomes(payout_id) == ["submitted"]


def test_without_redis_everybody_has_the_lock(till: Till) -> None:
    hands = till.with_hands(locks=PayoutLocks("redis://127.0.0.1:1/0"))
    payout_id = till.opened()
    till.dispatched()
    attempt(hands, payout_id)
    assert (till.state(payout_id), till.left(payout_id)) == ("submitted", (1, 0))


def test_a_process_that_does_not_know_the_account_leaves_it_to_another(till: Till) -> None:
    from worker.providers.payouts.accounts import PayoutAccounts

    payout_id = till.opened()
    till.dispatched()
    assert attempt(till.with_hands(accounts=PayoutAccounts({})), payout_id) is None
    assert till.state(payout_id) == "approved"
    attempt(till.hands, payout_id)
    assert till.state(payout_id) == "submitted"


Late = Callable[[Hands, UUID], None]


@pytest.mark.parametrize(
    ("answer", "state", "outcome"),
    [
        (Submitted("po_late"), "submitted", "submitted"),
        (Submitted("po_late", "paid"), "paid", "paid"),
        (Submitted("po_late", "failed", "no_account"), "failed", "failed"),
        (Submitted("po_late", "returned"), "returned", "returned"),
        (Declined("bank_busy", retryable=True), "cooling", "declined"),
        (Declined("no_account", retryable=False), "failed", "declined"),
        (NotSent("throttled"), "cooling", "not_sent"),
        (InDoubt("timeout"), "in_doubt", "in_doubt"),
    ],
)
def test_a_late_answer_of_the_only_call_is_believed(
    till: Till, answer: Answer, state: str, outcome: str
) -> None:
    """The claim had run out, and nobody has sent it since."""
    payout_id = till.opened()
    till.dispatched()
    claimed = claimed_by_hand(till, payout_id)
    till.later(41)
    till.published.clear()
    till.work()
    assert till.state(payout_id) == "in_doubt"
    for _ in range(2):
        record(till.hands, claimed, answer)
        assert (till.state(payout_id), till.outcomes(payout_id)) == (state, [outcome])


@pytest.mark.parametrize(
    "answer", [Declined("x", retryable=True), Declined("x", retryable=False), NotSent("x"), InDoubt("x")]
)
def test_an_answer_to_an_older_claim_proves_nothing_but_that_it_was_done(till: Till, answer: Answer) -> None:
    payout_id = till.opened()
    till.dispatched()
    old = claimed_by_hand(till, payout_id)
    till.later(41)
    till.work()
    till.later(60)
    assert till.look_up(payout_id) == "cooling"
    till.later(60)
    till.dispatched()
    new = claimed_by_hand(till, payout_id)
    assert (new.attempt.provider_key, new.attempt.sends) == (old.attempt.provider_key, 2)
    record(till.hands, old, answer)
    assert till.state(payout_id) == "sending"
    assert ("stale_answer", None, None) in till.cashier.events(payout_id)
    record(till.hands, old, Submitted("po_zombie"))
    record(till.hands, new, Submitted("po_zombie"))
    assert (till.state(payout_id), till.findings()) == ("submitted", [])
    record(till.hands, new, Submitted("po_other"))
    assert till.findings() == ["duplicate_at_provider"]


def test_money_that_left_for_an_attempt_taken_for_dead_is_a_finding(till: Till) -> None:
    till.cashier.policy(payout_retry_limit=0)
    payout_id = till.opened(10, "fault:decline_retryable:1")
    till.dispatched()
    claimed = claimed_by_hand(till, payout_id)
    record(till.hands, claimed, Declined("bank_busy", retryable=True))
    assert till.state(payout_id) == "failed"
    record(till.hands, claimed, Submitted("po_surprise"))
    assert (till.state(payout_id), till.findings()) == ("failed", ["status_mismatch"])


def test_an_answer_is_kept_while_the_database_is_away(till: Till) -> None:
    """A minute and more of refused connections between the call and the record."""
    from sqlalchemy.exc import OperationalError

    from tasks.payouts.attempts import record_patiently

    payout_id = till.opened()
    till.dispatched()
    claimed = claimed_by_hand(till, payout_id)
    slept: list[float] = []

    def away():  # type: ignore[no-untyped-def]
        if sum(slept) < 90:
            raise OperationalError("SELECT", {}, ConnectionRefusedError())
        return till.cashier.transaction()

    hands = till.with_hands(transaction=away, sleep=slept.append, ticks=lambda: sum(slept))
    claimed = replace(claimed, send_before=SEND_WITHIN_SECONDS)
    record_patiently(hands, claimed, Submitted("po_1"))
    assert till.state(payout_id) == "submitted"
    assert 90 <= sum(slept) < 120

    slept.clear()
    with pytest.raises(OperationalError):
        record_patiently(
            till.with_hands(transaction=lambda: (_ for _ in ()).throw(
                OperationalError("SELECT", {}, ConnectionRefusedError())), sleep=slept.append,
                ticks=lambda: sum(slept)), claimed, Submitted("po_1"))  # fmt: skip
    assert sum(slept) > 300


def test_a_late_proof_of_an_attempt_that_was_declined_stops_the_next_one(till: Till) -> None:
    """Its process hung; the same attempt, sent again under its key, was declined. Then the first says it was taken."""
    payout_id = till.opened(10, "fault:decline_retryable:1")
    till.dispatched()
    hung = claimed_by_hand(till, payout_id)
    till.later(61)
    till.work()
    till.later(30)
    till.work()
    assert till.state(payout_id) == "cooling"
    till.later(1)
    assert till.send(payout_id) == "cooling"
    assert till.outcomes(payout_id) == ["declined"]
    record(till.hands, hung, Submitted("po_1"))
    assert (till.state(payout_id), till.outcomes(payout_id)) == ("submitted", ["submitted"])
    till.later(DAY)
    assert till.dispatched() == []
