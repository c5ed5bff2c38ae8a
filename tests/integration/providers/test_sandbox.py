"""The sandbox adapter against the running sandbox, with every fault that it can script."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from ops.sandbox.config import SandboxConfig
from tests.integration.providers.accounts import account, order
from tests.integration.providers.replaying import Replaying, Reply
from tests.integration.sandbox.running import API_KEY, Sandbox, running_sandbox
from tests.waiting import until
from worker.providers.payouts import registry
from worker.providers.payouts.port import (
    Answer,
    Declined,
    Found,
    InDoubt,
    NotFound,
    NotSent,
    PayoutProvider,
    Stopped,
    Submitted,
    Unsure,
)

NOW = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(SandboxConfig(api_key=API_KEY, settle_seconds=None, hang_seconds=30)) as client:
        yield client


@pytest.fixture
def provider(sandbox: Sandbox) -> PayoutProvider:
    return registry.build(account("sandbox", str(sandbox.base_url), API_KEY))


def impatient(sandbox: Sandbox) -> PayoutProvider:
    return registry.build(account("sandbox", str(sandbox.base_url), API_KEY, timeout_seconds=0.3))


def test_a_payout_is_submitted_once_and_found_by_its_reference(
    sandbox: Sandbox, provider: PayoutProvider
) -> None:
    first, again = provider.send(order()), provider.send(order())
    assert isinstance(first, Submitted)
    assert first.status == "submitted"
    assert again == first
    assert provider.look_up("7f3a-1", since=NOW, destination="bank-1") == Found(
        first.object_id, "submitted", 1250, "EUR"
    )
    assert sandbox.truth("payouts", "7f3a-1") == {"left": (1, {"EUR": 1250})}


@pytest.mark.parametrize("status", ["paid", "failed", "returned"])
def test_the_look_up_tells_how_it_ended(sandbox: Sandbox, provider: PayoutProvider, status: str) -> None:
    answer = provider.send(order())
    assert isinstance(answer, Submitted)
    sandbox.post(f"/payouts/{answer.object_id}/settle", json={"status": status})
    found = provider.look_up("7f3a-1", since=NOW, destination="bank-1", object_id=answer.object_id)
    assert isinstance(found, Found)
    assert found.status == status


def test_an_unknown_reference_is_not_found(provider: PayoutProvider) -> None:
    assert provider.look_up("un known/&?", since=NOW, destination="bank-1") == NotFound()


@pytest.mark.parametrize(
    ("fault", "expected", "left"),
    [
        ("decline_retryable:1", Declined("bank_unavailable", retryable=True), 0),
        ("decline_final", Declined("account_closed", retryable=False), 0),
        ("error_500", InDoubt("internal_error"), 0),
        ("error_500_after", InDoubt("internal_error"), 1),
        ("garbage", InDoubt("unreadable_answer"), 1),
        ("rate_limit:7", NotSent("rate_limited", 7.0), 0),
    ],
)
def test_each_fault_is_told_for_what_it_proves(
    sandbox: Sandbox, provider: PayoutProvider, fault: str, expected: Answer, left: int
) -> None:
    assert provider.send(order(destination=f"fault:{fault}")) == expected
    assert sandbox.truth("payouts", "7f3a-1").get("left", (0, {}))[0] == left


@pytest.mark.parametrize(("fault", "left"), [("timeout_before", 0), ("timeout_after", 1), ("slow:20", 1)])
def test_no_answer_in_time_is_in_doubt(sandbox: Sandbox, fault: str, left: int) -> None:
    assert impatient(sandbox).send(order(destination=f"fault:{fault}")) == InDoubt("timeout")
    until(
        lambda: sandbox.truth("payouts", "7f3a-1").get("left", (0, {}))[0] == left, what="what the call did"
    )


def test_a_key_that_holds_another_payout_is_in_doubt_not_declined(
    sandbox: Sandbox, provider: PayoutProvider
) -> None:
    provider.send(order())
    assert provider.send(order(amount_minor=9)) == InDoubt("idempotency_key_reused")


def test_what_the_sandbox_refuses_to_read_is_final(provider: PayoutProvider) -> None:
    assert provider.send(order(destination="a b")) == Declined("invalid_request", retryable=False)


def test_a_wrong_api_key_stops_the_account(sandbox: Sandbox) -> None:
    provider = registry.build(account("sandbox", str(sandbox.base_url), "wrong"))
    assert provider.send(order()) == Stopped("unauthenticated")
    assert provider.look_up("7f3a-1", since=NOW, destination="bank-1") == Unsure("http_401")


@pytest.mark.parametrize("fault", ["error_500", "garbage", "rate_limit:1"])
def test_a_look_up_that_fails_proves_nothing(sandbox: Sandbox, provider: PayoutProvider, fault: str) -> None:
    sandbox.script(fault, scope="lookups")
    assert isinstance(provider.look_up("7f3a-1", since=NOW, destination="bank-1"), Unsure)


PAYOUT = {"id": "po_1", "reference": "7f3a-1", "amount_minor": 1250, "currency": "EUR", "status": "submitted"}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(201, PAYOUT), Submitted("po_1")),
        (Reply(201, PAYOUT | {"status": "paid"}), Submitted("po_1", "paid")),
        (Reply(200, PAYOUT), InDoubt("http_200")),
        (Reply(201, PAYOUT | {"reference": "other"}), InDoubt("other_payout_answered")),
        (Reply(201, PAYOUT | {"amount_minor": 1}), InDoubt("other_payout_answered")),
        (Reply(201, PAYOUT | {"status": "lovely"}), InDoubt("unreadable_answer")),
        (Reply(201, PAYOUT | {"status": []}), InDoubt("unreadable_answer")),
        (Reply(201, PAYOUT | {"id": "a\nb"}), InDoubt("unreadable_answer")),
        (Reply(201, PAYOUT | {"amount_minor": True}), InDoubt("unreadable_answer")),
        (Reply(201, []), InDoubt("unreadable_answer")),
        (Reply(204, raw=b""), InDoubt("http_204")),
        (Reply(302, headers={"location": "/payouts"}), InDoubt("http_302")),
        (Reply(402, {"code": "x"}), InDoubt("x")),
        (Reply(402, {"code": "x", "retryable": "true"}), InDoubt("x")),
        (Reply(402, {"code": "a b <secret>", "retryable": True}), Declined("http_402", retryable=True)),
        (Reply(403, raw=b"<html>"), Stopped("http_403")),
        (Reply(404, {"code": "not_found"}), InDoubt("not_found")),
        (Reply(422, {"code": "never_heard_of"}), InDoubt("never_heard_of")),
        (Reply(429, raw=b"slow down"), NotSent("http_429")),
        (Reply(429, {}, {"retry-after": "nonsense"}), NotSent("http_429")),
        (Reply(503, {"code": "invalid_request"}), InDoubt("invalid_request")),
        (Reply(500, raw=b"oops"), InDoubt("http_500")),
    ],
)
def test_an_answer_means_what_its_row_says(server: Replaying, reply: Reply, expected: Answer) -> None:
    server.says(reply)
    assert registry.build(account("sandbox", server.url, "k")).send(order()) == expected
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"data": [PAYOUT, PAYOUT]}, Unsure("several_found")),
        ({"data": [PAYOUT | {"reference": "other"}]}, Unsure("unreadable_answer")),
        ({"data": ["x"]}, Unsure("unreadable_answer")),
        ({"data": {}}, Unsure("unreadable_answer")),
        ({}, Unsure("unreadable_answer")),
    ],
)
def test_a_look_up_that_cannot_be_read_is_no_proof(server: Replaying, body: object, expected: Unsure) -> None:
    server.says(Reply(200, body))
    assert (
        registry.build(account("sandbox", server.url, "k")).look_up("7f3a-1", since=NOW, destination="bank-1")
        == expected
    )
