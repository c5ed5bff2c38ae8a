"""Deposits at the sandbox provider: every event type, its amount and sequence, the records and the truth."""

from dataclasses import replace

import pytest

from ops.sandbox.config import SandboxConfig
from tests.integration.sandbox.running import Receiver, Sandbox, running_sandbox


def test_a_deposit_is_captured_and_says_so_by_webhook(sandbox: Sandbox, receiver: Receiver) -> None:
    deposit = sandbox.deposit("d-1", 700)
    sandbox.flush()
    [event] = receiver.events
    assert event["type"] == "deposit.captured"
    assert event["occurred_at"].endswith("Z")
    assert event["data"] == deposit
    assert (deposit["status"], deposit["amount_minor"], deposit["sequence"]) == ("captured", 700, 1)
    assert sandbox.truth("deposits", "d-1") == {"captured": (1, {"EUR": 700})}


def test_refunds_in_parts_each_carry_their_own_amount(sandbox: Sandbox, receiver: Receiver) -> None:
    path = f"/deposits/{sandbox.deposit('d-1', 700)['id']}/refunds"
    assert sandbox.post(path, json={"amount_minor": 200}).json()["status"] == "partially_refunded"
    too_much = sandbox.post(path, json={"amount_minor": 501})
    assert (too_much.status_code, too_much.json()["code"]) == (422, "amount_too_large")
    assert sandbox.post(path, json={}).json()["status"] == "refunded"
    assert sandbox.post(path).json()["code"] == "impossible_move"
    sandbox.flush()
    told = [(e["type"], e["data"]["amount_minor"], e["data"]["sequence"]) for e in receiver.events]
    assert told == [("deposit.captured", 700, 1), ("deposit.refunded", 200, 2), ("deposit.refunded", 500, 3)]
    assert sandbox.truth("deposits", "d-1") == {"captured": (1, {"EUR": 700}), "refunded": (2, {"EUR": 700})}


def test_a_chargeback_and_its_reversal(sandbox: Sandbox, receiver: Receiver) -> None:
    base = f"/deposits/{sandbox.deposit('d-1', 700)['id']}"
    assert sandbox.post(f"{base}/chargeback_reversals").status_code == 409
    assert sandbox.post(f"{base}/chargebacks", json={}).json()["status"] == "charged_back"
    assert sandbox.post(f"{base}/chargebacks", json={}).status_code == 409
    assert sandbox.post(f"{base}/chargeback_reversals").json()["status"] == "captured"
    sandbox.flush()
    told = [(e["type"], e["data"]["amount_minor"]) for e in receiver.events]
    assert told == [
        ("deposit.captured", 700),
        ("deposit.chargeback", 700),
        ("deposit.chargeback_reversed", 700),
    ]
    assert sandbox.truth("deposits", "d-1") == {
        "captured": (1, {"EUR": 700}),
        "charged_back": (1, {"EUR": 700}),
        "chargeback_reversed": (1, {"EUR": 700}),
    }


def test_a_failed_deposit_brings_no_money(sandbox: Sandbox, receiver: Receiver) -> None:
    failed = sandbox.deposit("d-1", fail=True)
    pending = sandbox.deposit("d-2", capture=False)
    assert (failed["status"], pending["status"]) == ("failed", "pending")
    assert sandbox.post(f"/deposits/{pending['id']}/fail").json()["status"] == "failed"
    assert sandbox.post(f"/deposits/{failed['id']}/refunds", json={}).status_code == 409
    sandbox.flush()
    assert receiver.types() == ["deposit.failed", "deposit.failed"]
    assert sandbox.truth("deposits", "d-1") == {}
    assert sandbox.get("/records").json()["data"] == []


def test_a_pending_deposit_is_captured_later_and_once(sandbox: Sandbox, receiver: Receiver) -> None:
    path = f"/deposits/{sandbox.deposit('d-1', capture=False)['id']}"
    assert [sandbox.post(f"{path}/capture").status_code for _ in range(2)] == [201, 409]
    sandbox.flush()
    assert receiver.types() == ["deposit.captured"]
    assert sandbox.get(path).json()["status"] == "captured"


def test_a_key_makes_deposits_and_refunds_happen_once(sandbox: Sandbox) -> None:
    keyed = {"Idempotency-Key": "once"}
    order = {"reference": "d-1", "amount_minor": 700, "currency": "EUR"}
    first, again = (sandbox.post("/deposits", json=order, headers=keyed).json() for _ in range(2))
    assert first == again
    path = f"/deposits/{first['id']}/refunds"
    refunds = [sandbox.post(path, json={"amount_minor": 100}, headers=keyed).json() for _ in range(2)]
    assert refunds[0] == refunds[1]
    assert sandbox.post(path, json={"amount_minor": 101}, headers=keyed).status_code == 422
    assert sandbox.truth("deposits", "d-1") == {"captured": (1, {"EUR": 700}), "refunded": (1, {"EUR": 100})}


def test_fees_are_whole_minor_units_on_the_records(config: SandboxConfig) -> None:
    with running_sandbox(replace(config, deposit_fee_basis_points=290, chargeback_fee_minor=1500)) as sandbox:
        deposit = sandbox.deposit("d-1", 999)
        sandbox.post(f"/deposits/{deposit['id']}/chargebacks", json={})
        rows = [
            (r["kind"], r["amount_minor"], r["fee_minor"]) for r in sandbox.get("/records").json()["data"]
        ]
        assert rows == [("deposit", 999, 28), ("chargeback", 999, 0), ("fee", 1500, 0)]


@pytest.mark.parametrize("amount", [1.5, 1.0, "1", True, 0, -1, 2**63, None])
def test_an_amount_is_a_whole_number_of_minor_units(sandbox: Sandbox, amount: object) -> None:
    order = {"reference": "d-1", "amount_minor": amount, "currency": "EUR"}
    answer = sandbox.post("/deposits", json=order)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert sandbox.truth("deposits", "d-1") == {}


def test_an_unknown_deposit_is_not_found(sandbox: Sandbox) -> None:
    assert sandbox.get("/deposits/dep_none").json()["code"] == "unknown_deposit"
    assert sandbox.post("/deposits/dep_none/refunds", json={}).status_code == 404
