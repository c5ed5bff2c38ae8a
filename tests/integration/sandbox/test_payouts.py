"""Payouts at the sandbox provider: the contract's answers, keys, look-up, settlement and truth."""

from dataclasses import replace
from typing import Any

import pytest

from ops.sandbox.config import SandboxConfig
from tests.integration.sandbox.running import Receiver, Sandbox, running_sandbox


def test_a_payout_is_submitted_and_says_so_by_webhook(sandbox: Sandbox, receiver: Receiver) -> None:
    answer = sandbox.pay_out("p-1")
    assert answer.status_code == 201
    payout = answer.json()
    assert payout | {"id": "x"} == {
        "id": "x",
        "reference": "p-1",
        "amount_minor": 1250,
        "currency": "EUR",
        "status": "submitted",
        "sequence": 1,
    }
    sandbox.flush()
    [event] = receiver.events
    assert event["type"] == "payout.submitted"
    assert event["data"] == payout
    assert receiver.ids == [event["id"]]
    assert sandbox.truth("payouts", "p-1") == {"left": (1, {"EUR": 1250})}


def test_the_same_key_replays_the_first_answer_and_pays_once(sandbox: Sandbox) -> None:
    first, again = sandbox.pay_out("p-1"), sandbox.pay_out("p-1")
    assert (again.status_code, again.json()) == (201, first.json())
    assert sandbox.truth("payouts", "p-1") == {"left": (1, {"EUR": 1250})}


def test_a_replay_shows_the_first_answer_though_the_payout_moved_on(sandbox: Sandbox) -> None:
    first = sandbox.pay_out("p-1").json()
    sandbox.post(f"/payouts/{first['id']}/settle", json={"status": "paid"})
    assert sandbox.pay_out("p-1").json() == first
    assert sandbox.get(f"/payouts/{first['id']}").json()["status"] == "paid"


def test_the_same_key_with_another_body_is_refused(sandbox: Sandbox) -> None:
    sandbox.pay_out("p-1")
    answer = sandbox.pay_out("p-1", amount_minor=1251)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert sandbox.truth("payouts", "p-1") == {"left": (1, {"EUR": 1250})}


def test_a_key_is_kept_for_24_hours_and_then_is_a_new_payout(sandbox: Sandbox) -> None:
    first = sandbox.pay_out("p-1").json()
    sandbox.post("/_clock", json={"advance_seconds": 24 * 3600 - 60})
    assert sandbox.pay_out("p-1").json() == first
    sandbox.post("/_clock", json={"advance_seconds": 61})
    assert sandbox.pay_out("p-1").json()["id"] != first["id"]
    assert sandbox.truth("payouts", "p-1") == {"left": (2, {"EUR": 2500})}
    assert sandbox.looked_up("p-1") == ["submitted", "submitted"]


def test_a_new_payout_is_hidden_from_the_look_up_for_the_visibility_delay(config: SandboxConfig) -> None:
    with running_sandbox(replace(config, visibility_seconds=10)) as sandbox:
        sandbox.pay_out("p-1")
        assert sandbox.looked_up("p-1") == []
        sandbox.post("/_clock", json={"advance_seconds": 10})
        assert sandbox.looked_up("p-1") == ["submitted"]


def test_the_look_up_knows_one_reference_at_a_time(sandbox: Sandbox) -> None:
    sandbox.pay_out("p-1")
    answer = sandbox.get("/payouts", params={"reference": "p-2"})
    assert (answer.status_code, answer.json()) == (200, {"data": [], "next_cursor": None})
    assert sandbox.get("/payouts").json()["code"] == "missing_reference"
    assert sandbox.get("/payouts/po_none").json()["code"] == "unknown_payout"


@pytest.mark.parametrize("late", ["failed", "returned"])
def test_a_paid_payout_can_come_back_once(sandbox: Sandbox, receiver: Receiver, late: str) -> None:
    payout_id = sandbox.pay_out("p-1").json()["id"]
    moves = [sandbox.post(f"/payouts/{payout_id}/settle", json={"status": s}) for s in ("paid", late, late)]
    assert [move.status_code for move in moves] == [200, 200, 409]
    assert moves[-1].json()["code"] == "impossible_move"
    sandbox.flush()
    assert receiver.types() == ["payout.submitted", "payout.paid", f"payout.{late}"]
    assert [event["data"]["sequence"] for event in receiver.events] == [1, 2, 3]
    assert sandbox.truth("payouts", "p-1") == {"left": (1, {"EUR": 1250}), "back": (1, {"EUR": 1250})}
    assert [r["status"] for r in sandbox.get("/records").json()["data"]] == ["paid", late]


def test_a_payout_that_failed_before_it_was_paid_has_no_settled_record(sandbox: Sandbox) -> None:
    payout_id = sandbox.pay_out("p-1").json()["id"]
    sandbox.post(f"/payouts/{payout_id}/settle", json={"status": "failed"})
    assert sandbox.get("/records").json()["data"] == []
    assert sandbox.truth("payouts", "p-1") == {"left": (1, {"EUR": 1250}), "back": (1, {"EUR": 1250})}


def test_payouts_settle_by_themselves_after_the_settle_delay(
    config: SandboxConfig, receiver: Receiver
) -> None:
    with running_sandbox(replace(config, settle_seconds=0.05)) as sandbox:
        sandbox.pay_out("p-1")
        sandbox.flush()
        assert receiver.types() == ["payout.submitted", "payout.paid"]
        assert sandbox.looked_up("p-1") == ["paid"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"amount_minor": 12.5}, "/amount_minor"),
        ({"amount_minor": 12.0}, "/amount_minor"),
        ({"amount_minor": "12"}, "/amount_minor"),
        ({"amount_minor": True}, "/amount_minor"),
        ({"amount_minor": 0}, "/amount_minor"),
        ({"amount_minor": 2**63}, "/amount_minor"),
        ({"currency": "eur"}, "/currency"),
        ({"currency": None}, "/currency"),
        ({"destination": "fault:no_such_fault"}, "/destination"),
        ({"extra": 1}, "/extra"),
    ],
)
def test_a_payout_that_does_not_fit_is_refused_and_its_key_is_free(
    sandbox: Sandbox, change: dict[str, Any], pointer: str
) -> None:
    answer = sandbox.pay_out("p-1", **change)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert sandbox.pay_out("p-1").status_code == 201


@pytest.mark.parametrize(("key", "code"), [("", "bad_idempotency_key"), ("k" * 256, "bad_idempotency_key")])
def test_a_bad_key_is_refused(sandbox: Sandbox, key: str, code: str) -> None:
    answer = sandbox.post("/payouts", json={}, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_a_payout_needs_a_key(sandbox: Sandbox) -> None:
    answer = sandbox.post("/payouts", json={})
    assert (answer.status_code, answer.json()["code"]) == (400, "missing_idempotency_key")
