"""From the outbox to the receiver: signed, at least once under one id, on the schedule, in order."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
from sqlalchemy.orm import Session
from standardwebhooks import WebhookVerificationError
from structlog.testing import capture_logs

from models.notifications import News, announce
from tasks.notifications.policy import SCHEDULE_SECONDS
from tests.integration.notifications.conftest import Office
from tests.integration.notifications.receiver import OLD_SECRET, SECRET, Receiver, Reply, receiving
from worker.database import Transaction
from worker.notifying import Endpoint

JITTER = 1.11


def test_what_is_announced_arrives_signed_by_every_secret(office: Office, receiver: Receiver) -> None:
    office.announce(("payout:1", 1), payout_id="1", owner="zoë", amount_minor=500)
    assert office.tick() == ["acme"]
    [delivery] = receiver.deliveries
    expected = {
        "type": "payout.moved",
        "timestamp": "2026-03-14T12:00:00Z",
        "data": {
            "payout_id": "1",
            "owner": "zoë",
            "amount_minor": 500,
            "subject": "payout:1",
            "version": 1,
        },
    }
    assert delivery.verified(SECRET) == delivery.verified(OLD_SECRET) == expected
    assert delivery.headers["content-type"] == "application/json"
    assert delivery.sent_at == office.now
    [row] = office.rows()
    assert (row["state"], row["tries"], row["delivered_at"]) == ("delivered", 1, office.now)


def test_a_forged_body_is_not_what_we_signed(office: Office, receiver: Receiver) -> None:
    office.announce(("payout:1", 1), amount_minor=500)
    office.tick()
    [delivery] = receiver.deliveries
    with pytest.raises(WebhookVerificationError):
        replace(delivery, body=delivery.body.replace(b"500", b"501")).verified()


def test_what_was_rolled_back_is_not_told(office: Office, receiver: Receiver) -> None:
    class Cancelled(Exception):
        pass

    def announce_and_fail() -> None:
        with office.transaction() as session:
            announce(session, [News("acme", "payout.paid", "payout:1", 1, {})], now=office.now)
            raise Cancelled

    with pytest.raises(Cancelled):
        announce_and_fail()
    assert office.tick() == []
    assert receiver.deliveries == []


def test_a_tenant_without_an_address_is_told_nothing(office: Office, receiver: Receiver) -> None:
    office.announce(("payout:1", 1), tenant="globex")
    office.announce(("payout:1", 1))
    office.announce(("payout:1", 1))
    assert [row["tenant"] for row in office.rows()] == ["acme"]


def test_a_receiver_that_fails_is_tried_on_the_schedule_then_given_up(
    office: Office, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500, body=b"a stack trace with alice@example.com")
    office.announce(("payout:1", 1))
    with capture_logs() as logs:
        office.tick()
        for tries, seconds in enumerate(SCHEDULE_SECONDS[1:], start=1):
            assert len(receiver.deliveries) == tries
            office.after(seconds - 1)
            assert len(receiver.deliveries) == tries, f"try {tries + 1} came too early"
            office.after(1 + seconds * 0.11)
    [row] = office.rows()
    assert (row["state"], row["tries"], row["last_error"]) == ("gave_up", 10, "HTTP 500")
    assert len({(one.webhook_id, one.body) for one in receiver.deliveries}) == 1
    assert all(delivery.verified() for delivery in receiver.deliveries)
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["notification.gave_up"]
    assert office.after(10 * 86_400) == []


def test_a_receiver_that_comes_back_is_told_all(office: Office, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(500)
    office.announce(*((f"payout:{n}", 1) for n in range(40)))
    office.tick()
    assert office.rows("delivered") == []
    receiver.answer = lambda _: Reply()
    office.after(10)
    office.after(1)
    assert len(office.rows("delivered")) == 40


def test_while_a_receiver_is_down_it_is_probed_and_the_backlog_keeps_its_tries(
    office: Office, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(503)
    office.announce(*((f"payout:{n}", 1) for n in range(100)))
    for _ in range(120):
        office.after(1)
    assert len(receiver.deliveries) < 16 + 10
    assert sum(row["tries"] for row in office.rows()) == len(receiver.deliveries)


def test_nobody_listens(office: Office) -> None:
    with receiving() as gone:
        office.endpoints["acme"] = Endpoint(gone.url, (SECRET,))
    office.announce(("payout:1", 1))
    office.tick()
    [row] = office.rows()
    assert (row["state"], row["last_error"]) == ("pending", "cannot connect")


@pytest.mark.parametrize("how", ["silent", "trickling"])
def test_a_receiver_that_is_slow_has_so_long_and_no_longer(
    office: Office, receiver: Receiver, how: str
) -> None:
    held = threading.Event()
    receiver.answer = lambda _: Reply(hold=held) if how == "silent" else Reply(trickle=True)
    office.timeout_seconds = 0.3
    office.announce(("payout:1", 1))
    office.tick()
    held.set()
    [row] = office.rows()
    assert (row["state"], row["last_error"]) == ("pending", "no answer within 0.3 s")


def test_an_endless_answer_is_a_delivery_all_the_same(office: Office, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(200, body=b"x" * 5_000_000)
    office.announce(("payout:1", 1))
    office.tick()
    assert len(office.rows("delivered")) == 1


def test_redirects_are_not_followed(office: Office, receiver: Receiver) -> None:
    statuses = (301, 302, 303, 307, 308)
    with receiving() as elsewhere:
        receiver.answer = lambda one: Reply(one.subject[1], {"location": elsewhere.url})
        office.announce(*((f"payout:{status}", status) for status in statuses))
        office.tick()
        assert elsewhere.deliveries == []
    errors = {row["last_error"] for row in office.rows("pending")}
    assert errors == {f"HTTP {status}; redirects are not followed" for status in statuses}


def test_who_says_429_is_left_alone_for_as_long_as_it_asked(office: Office, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(429, {"retry-after": "90"})
    office.announce(("payout:1", 1))
    office.tick()
    office.announce(("payout:2", 1))
    assert office.after(89) == []
    receiver.answer = lambda _: Reply()
    assert office.after(1) == ["acme"]
    assert len(office.rows("delivered")) == 2


def test_410_stops_the_lane_until_the_address_changes(office: Office, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(410)
    office.announce(("payout:1", 1))
    office.tick()
    office.announce(("payout:2", 1))
    assert office.after(30 * 86_400) == []
    assert len(receiver.deliveries) == 1
    assert [row["state"] for row in office.rows()] == ["pending", "pending"]
    with receiving() as moved:
        office.endpoints["acme"] = Endpoint(moved.url, (SECRET,))
        assert office.after(1) == ["acme"]
        assert sorted(moved.subjects()) == [("payout:1", 1), ("payout:2", 1)]
    assert office.lane()["gone_at"] is None


def test_an_answer_from_the_old_address_says_nothing_about_the_new_one(
    office: Office, receiver: Receiver
) -> None:
    with receiving() as moved:

        def gone_and_moved(_: object) -> Reply:
            office.endpoints["acme"] = Endpoint(moved.url, (SECRET,))
            office.dispatch()
            return Reply(410)

        receiver.answer = gone_and_moved
        office.announce(("payout:1", 1))
        office.tick()
        assert office.lane()["gone_at"] is None
        assert len(receiver.deliveries) == 1
        office.after(60)
        assert moved.subjects() == [("payout:1", 1)]


def test_a_later_version_waits_for_the_earlier_one(office: Office, receiver: Receiver) -> None:
    receiver.answer = lambda one: Reply(500 if one.subject == ("payout:1", 1) else 204)
    office.announce(("payout:1", 1), ("payout:2", 1))
    office.tick()
    office.announce(("payout:1", 2), ("payout:1", 3), ("payout:2", 2))
    office.after(1)
    assert set(receiver.subjects()) == {("payout:1", 1), ("payout:2", 1), ("payout:2", 2)}
    receiver.answer = lambda _: Reply()
    office.after(6)
    office.after(1)
    own = [one for one in receiver.subjects() if one[0] == "payout:1"]
    assert own == [("payout:1", 1), ("payout:1", 1), ("payout:1", 2), ("payout:1", 3)]


def test_versions_that_were_written_together_go_out_in_order(office: Office, receiver: Receiver) -> None:
    office.announce(*((f"payout:{n}", version) for version in range(5, 0, -1) for n in range(10)))
    while office.after(1):
        pass
    assert len(office.rows("delivered")) == 50
    for n in range(10):
        assert [v for s, v in receiver.subjects() if s == f"payout:{n}"] == [1, 2, 3, 4, 5]


def test_when_the_earlier_version_is_given_up_the_later_goes_on(office: Office, receiver: Receiver) -> None:
    receiver.answer = lambda one: Reply(400 if one.subject[1] == 1 else 204)
    office.announce(("payout:1", 1), ("payout:1", 2))
    office.tick()
    for seconds in SCHEDULE_SECONDS[1:]:
        assert ("payout:1", 2) not in receiver.subjects()
        office.after(seconds * JITTER)
    office.after(60)
    assert [row["state"] for row in office.rows()] == ["gave_up", "delivered"]


def test_a_worker_killed_after_sending_sends_the_same_again(
    office: Office, receiver: Receiver, transaction: Transaction
) -> None:
    class Killed(BaseException):
        pass

    alive = iter([transaction])

    def dies_after_the_claim() -> AbstractContextManager[Session]:
        for given in alive:
            return given()
        raise Killed

    office.announce(("payout:1", 1), ("payout:1", 2))
    office.dispatch()
    office.transaction = dies_after_the_claim
    with pytest.raises(Killed):
        office.deliver()
    office.transaction = transaction
    assert [one.subject for one in receiver.deliveries] == [("payout:1", 1)]
    office.after(46)
    assert len(receiver.deliveries) == 1, "leased still"
    office.after(15)
    office.after(1)
    first, again, second = receiver.deliveries
    assert (again.webhook_id, again.body) == (first.webhook_id, first.body)
    assert second.subject == ("payout:1", 2)
    assert [row["state"] for row in office.rows()] == ["delivered", "delivered"]


def test_a_late_answer_of_a_lost_claim_counts_when_it_is_a_delivery(
    office: Office, receiver: Receiver
) -> None:
    """A frozen process wakes up: the lease is over, another has tried and failed meanwhile."""
    held = threading.Event()
    arrived = threading.Event()

    def slow_first(_: object) -> Reply:
        if arrived.is_set():
            return Reply(500)
        arrived.set()
        return Reply(hold=held)

    receiver.answer = slow_first
    office.announce(("payout:1", 1))
    office.dispatch()
    with ThreadPoolExecutor() as pool:
        frozen = pool.submit(office.deliver)
        assert arrived.wait(60)
        office.after(61)
        held.set()
        frozen.result(120)
    [row] = office.rows()
    assert len(receiver.deliveries) == 2
    assert (row["state"], row["next_try_at"], row["last_error"]) == ("delivered", None, None)


def test_a_late_failure_of_a_lost_claim_changes_nothing(office: Office, receiver: Receiver) -> None:
    held = threading.Event()
    arrived = threading.Event()

    def slow_first(_: object) -> Reply:
        if arrived.is_set():
            return Reply(502)
        arrived.set()
        return Reply(500, hold=held)

    receiver.answer = slow_first
    office.announce(("payout:1", 1))
    office.dispatch()
    with ThreadPoolExecutor() as pool:
        frozen = pool.submit(office.deliver)
        assert arrived.wait(60)
        office.after(61)
        [before] = office.rows()
        held.set()
        frozen.result(120)
    [row] = office.rows()
    assert before == row
    assert (row["tries"], row["last_error"]) == (2, "HTTP 502")


def test_many_workers_at_once_send_each_once_and_in_order(office: Office, receiver: Receiver) -> None:
    subjects = [(f"payout:{n}", version) for n in range(30) for version in (1, 2, 3)]
    office.announce(*subjects)
    office.dispatch()
    together = threading.Barrier(4)

    def work() -> None:
        together.wait(60)
        office.deliver()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for _ in range(4)]:
            done.result(120)
    while office.rows("pending"):
        office.after(61)
    assert sorted(receiver.subjects()) == sorted(subjects)
    for n in range(30):
        assert [v for s, v in receiver.subjects() if s == f"payout:{n}"] == [1, 2, 3]


def test_no_secret_no_address_and_no_word_of_the_receiver_is_logged(
    office: Office, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.url += "?key=hidden-in-the-url"
    office.endpoints["acme"] = Endpoint(receiver.url, (SECRET, OLD_SECRET))
    receiver.answer = lambda _: Reply(
        500, {"x-echo": "hidden-in-a-header", "retry-after": "hidden-wait"}, b"hidden-in-the-body"
    )
    office.announce(("payout:1", 1), owner="hidden-owner")
    with caplog.at_level(logging.INFO), capture_logs() as logs:
        office.tick()
        office.timeout_seconds = 0.0
        office.after(10)
    assert len(receiver.deliveries) == 1
    [row] = office.rows()
    assert row["tries"] == 2
    ours = f"{logs} {row['last_error']}"
    assert "notification.not_delivered" in ours
    for secret in ("hidden", SECRET[6:], OLD_SECRET[6:], "v1,"):
        assert secret not in ours
