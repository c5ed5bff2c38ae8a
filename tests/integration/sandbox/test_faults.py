"""Every fault of the contract, by token and by script, over real HTTP; the truth tells what really happened."""

import time
from datetime import datetime
from typing import Any

import httpx
import pytest

from ops.sandbox.faults import RULES, FaultError, parse_fault
from tests.integration.sandbox.running import Receiver, Sandbox
from tests.waiting import PATIENCE_SECONDS, until

ONCE = {"left": (1, {"EUR": 1250})}


def test_decline_retryable_counts_attempts_of_one_payout(sandbox: Sandbox) -> None:
    answers = [sandbox.pay_out(f"p-{n}", "fault:decline_retryable:2") for n in (1, 2, 3)]
    assert [a.status_code for a in answers] == [402, 402, 201]
    assert (answers[0].json()["code"], answers[0].json()["retryable"]) == ("bank_unavailable", True)
    assert [sandbox.truth("payouts", f"p-{n}") for n in (1, 2, 3)] == [{}, {}, ONCE]


def test_one_token_serves_many_payouts(sandbox: Sandbox) -> None:
    statuses = [sandbox.pay_out(f"{p}/1", "fault:decline_retryable:1").status_code for p in ("x", "y")]
    assert statuses == [402, 402]
    assert sandbox.pay_out("x/2", "fault:decline_retryable:1").status_code == 201


def test_a_declined_key_replays_its_decline(sandbox: Sandbox) -> None:
    statuses = [sandbox.pay_out("p-1", "fault:decline_retryable:1").status_code for _ in range(3)]
    assert statuses == [402, 402, 402]
    assert sandbox.pay_out("p-2", "fault:decline_retryable:1").status_code == 201


def test_decline_final_never_pays(sandbox: Sandbox) -> None:
    answers = [sandbox.pay_out(f"p-{n}", "fault:decline_final") for n in range(1, 5)]
    assert {(a.status_code, a.json()["code"], a.json()["retryable"]) for a in answers} == {
        (402, "account_closed", False)
    }


@pytest.mark.parametrize(("fault", "left"), [("timeout_before", {}), ("timeout_after", ONCE)])
def test_a_timeout_hides_whether_money_left(sandbox: Sandbox, fault: str, left: dict[str, Any]) -> None:
    sandbox.timeout = httpx.Timeout(0.2)
    with pytest.raises(httpx.ReadTimeout):
        sandbox.pay_out("p-1", f"fault:{fault}")
    sandbox.timeout = httpx.Timeout(PATIENCE_SECONDS)
    until(lambda: sandbox.truth("payouts", "p-1") == left, what="what the call did")
    assert sandbox.looked_up("p-1") == ["submitted"] * len(left)
    assert sandbox.pay_out("p-1", f"fault:{fault}").status_code == 201
    assert sandbox.truth("payouts", "p-1") == ONCE


def test_a_patient_caller_gets_504_in_the_end(sandbox: Sandbox) -> None:
    assert sandbox.pay_out("p-1", "fault:timeout_after").status_code == 504
    assert sandbox.truth("payouts", "p-1") == ONCE


@pytest.mark.parametrize(("fault", "left"), [("error_500", {}), ("error_500_after", ONCE)])
def test_a_500_hides_whether_money_left(sandbox: Sandbox, fault: str, left: dict[str, Any]) -> None:
    answer = sandbox.pay_out("p-1", f"fault:{fault}")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert sandbox.truth("payouts", "p-1") == left
    assert sandbox.pay_out("p-1", f"fault:{fault}").status_code == 201
    assert sandbox.truth("payouts", "p-1") == ONCE


def test_garbage_is_a_2xx_that_cannot_be_read_after_the_money_left(sandbox: Sandbox) -> None:
    answer = sandbox.pay_out("p-1", "fault:garbage")
    assert answer.is_success
    with pytest.raises(ValueError, match=r"utf-8|Expecting"):
        answer.json()
    assert sandbox.truth("payouts", "p-1") == ONCE
    assert sandbox.pay_out("p-1", "fault:garbage").json()["reference"] == "p-1"


def test_slow_pays_at_once_and_answers_late(sandbox: Sandbox) -> None:
    began = time.monotonic()
    assert sandbox.pay_out("p-1", "fault:slow:0.3").status_code == 201
    assert time.monotonic() - began >= 0.3


def test_slow_before_pays_late_and_answers_then(sandbox: Sandbox) -> None:
    began = time.time()
    assert sandbox.pay_out("p-1", "fault:slow_before:0.3").status_code == 201
    told = sandbox.get("/events", params={"limit": "100"}).json()["data"]
    assert datetime.fromisoformat(told[0]["occurred_at"]).timestamp() - began >= 0.299
    assert sandbox.truth("payouts", "p-1") == ONCE


def test_rate_limit_says_when_to_come_back(sandbox: Sandbox) -> None:
    answer = sandbox.pay_out("p-1", "fault:rate_limit:7")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (
        429,
        "rate_limited",
        "7",
    )
    assert sandbox.truth("payouts", "p-1") == {}
    assert sandbox.pay_out("p-1", "fault:rate_limit:7").status_code == 201


def test_paid_then_failed_takes_the_money_back(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.pay_out("p-1", "fault:paid_then_failed")
    sandbox.flush()
    assert receiver.types() == ["payout.submitted", "payout.paid", "payout.failed"]
    assert sandbox.truth("payouts", "p-1") == ONCE | {"back": (1, {"EUR": 1250})}
    assert [r["status"] for r in sandbox.get("/records").json()["data"]] == ["paid", "failed"]


def test_a_count_and_a_tag_in_a_token(sandbox: Sandbox) -> None:
    statuses = [sandbox.pay_out("p-1", "fault:error_500*2#mine").status_code for _ in range(3)]
    assert statuses == [500, 500, 201]
    assert sandbox.pay_out("p-1", "fault:error_500*2#yours", key="other").status_code == 500


def test_a_lost_webhook_is_never_sent_and_can_be_redelivered(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.deposit("d-1", metadata={"fault": "webhook_lost"})
    sandbox.flush()
    assert receiver.events == []
    [lost] = sandbox.get("/_webhooks", params={"state": "lost"}).json()["data"]
    assert (lost["type"], lost["tries"]) == ("deposit.captured", 0)
    assert sandbox.get("/events").json()["data"][0]["id"] == lost["id"]
    assert sandbox.post(f"/_webhooks/{lost['id']}/redeliver").status_code == 202
    sandbox.flush()
    assert receiver.ids == [lost["id"]]


def test_a_duplicated_webhook_comes_n_times_more_with_one_id(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.deposit("d-1~fault:webhook_duplicate:3")
    sandbox.flush()
    assert len(receiver.ids) == 4
    assert len(set(receiver.ids)) == 1
    assert receiver.events[0] == receiver.events[3]


def test_a_reordered_webhook_comes_after_the_next_one(sandbox: Sandbox, receiver: Receiver) -> None:
    deposit = sandbox.deposit("d-1", metadata={"fault": "webhook_reordered"})
    sandbox.post(f"/deposits/{deposit['id']}/refunds", json={"amount_minor": 1})
    sandbox.flush()
    assert receiver.types() == ["deposit.refunded", "deposit.captured"]
    assert [event["data"]["sequence"] for event in receiver.events] == [2, 1]


def test_a_reordered_webhook_without_a_next_one_comes_when_flushed(
    sandbox: Sandbox, receiver: Receiver
) -> None:
    sandbox.deposit("d-1", metadata={"fault": "webhook_reordered"})
    assert sandbox.get("/_idle").json() == {"idle": False, "pending": 1}
    sandbox.flush()
    assert receiver.types() == ["deposit.captured"]


def test_a_late_webhook_is_overtaken(sandbox: Sandbox, receiver: Receiver) -> None:
    began = time.monotonic()
    sandbox.deposit("late", metadata={"fault": "webhook_late:2"})
    sandbox.deposit("prompt")
    sandbox.flush()
    assert [event["data"]["reference"] for event in receiver.events] == ["prompt", "late"]
    assert time.monotonic() - began >= 2


def test_a_payouts_webhooks_obey_its_destination(sandbox: Sandbox, receiver: Receiver) -> None:
    payout_id = sandbox.pay_out("p-1", "fault:webhook_reordered").json()["id"]
    sandbox.post(f"/payouts/{payout_id}/settle", json={"status": "paid"})
    sandbox.flush()
    assert receiver.types() == ["payout.paid", "payout.submitted"]


def test_scripted_faults_strike_their_scope_and_run_out(sandbox: Sandbox) -> None:
    sandbox.script("decline_retryable:2", scope="payouts")
    sandbox.deposit("d-1")
    assert [sandbox.pay_out(f"p-{n}").status_code for n in range(3)] == [402, 402, 201]
    assert [fault["remaining"] for fault in sandbox.get("/_faults").json()["data"]] == [0]


def test_scripted_faults_strike_until_they_are_removed(sandbox: Sandbox) -> None:
    fault = sandbox.post("/_faults", json={"fault": "decline_final"}).json()
    assert (fault["scope"], fault["remaining"]) == ("payouts", None)
    assert sandbox.pay_out("p-1").status_code == 402
    assert sandbox.delete(f"/_faults/{fault['id']}").json() == {"removed": 1}
    assert sandbox.delete(f"/_faults/{fault['id']}").status_code == 404
    assert sandbox.pay_out("p-2").status_code == 201
    sandbox.script("error_500", count=5)
    assert sandbox.delete("/_faults").json() == {"removed": 1}
    assert sandbox.pay_out("p-3").status_code == 201


@pytest.mark.parametrize("scope", ["webhooks", "deposits"])
def test_scripted_webhook_faults_strike_deposits(sandbox: Sandbox, receiver: Receiver, scope: str) -> None:
    sandbox.script("webhook_duplicate:1", scope=scope, count=1)
    sandbox.deposit("d-1")
    sandbox.deposit("d-2")
    sandbox.flush()
    assert sorted(event["data"]["reference"] for event in receiver.events) == ["d-1", "d-1", "d-2"]


@pytest.mark.parametrize("scope", ["lookups", "records"])
def test_reads_can_be_struck_too(sandbox: Sandbox, scope: str) -> None:
    path = "/records" if scope == "records" else "/payouts?reference=p-1"
    sandbox.script("error_500", scope=scope)
    assert [sandbox.get(path).status_code for _ in range(2)] == [500, 200]


def test_deposits_are_struck_as_payouts_are(sandbox: Sandbox) -> None:
    def pay_in(fault: str) -> httpx.Response:
        order = {
            "reference": f"d-{fault}",
            "amount_minor": 500,
            "currency": "EUR",
            "metadata": {"fault": fault},
        }
        return sandbox.post("/deposits", json=order, headers={"Idempotency-Key": fault})

    assert [pay_in("error_500_after").status_code for _ in range(2)] == [500, 201]
    assert pay_in("decline_final").json()["code"] == "account_closed"
    assert sandbox.truth("deposits", "d-error_500_after") == {"captured": (1, {"EUR": 500})}
    assert sandbox.truth("deposits", "d-decline_final") == {}


@pytest.mark.parametrize(
    "order",
    [
        {"fault": "no_such"},
        {"fault": "slow"},
        {"fault": "garbage:1"},
        {"fault": "error_500", "scope": "webhooks"},
        {"fault": "paid_then_failed", "scope": "deposits"},
        {"fault": "error_500", "count": 0},
        {"fault": ""},
        {},
    ],
)
def test_an_order_for_an_unknown_fault_is_refused(sandbox: Sandbox, order: dict[str, object]) -> None:
    assert sandbox.post("/_faults", json=order).status_code == 422
    assert sandbox.get("/_faults").json() == {"data": []}


def test_every_fault_of_the_contract_can_be_written() -> None:
    numbers = {"slow", "slow_before", "webhook_late"}
    assert {parse_fault(f"{name}:1" if name in numbers else name).name for name in RULES} == set(RULES)
    with pytest.raises(FaultError, match="needs a number"):
        parse_fault("slow")
