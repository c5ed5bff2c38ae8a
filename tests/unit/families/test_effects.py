"""Single events: what they mean for one deposit, and how much money moves."""

from dataclasses import replace

import pytest

from models.ledger.outcomes import Leg
from tasks.webhooks.decisions import Apply, Decision, Ignore, Park, Reject
from tasks.webhooks.effects import decide
from tasks.webhooks.facts import DUPLICATE_CAPTURE, SHORTFALL, Deposit, Part, Position
from tests.unit.families.events import CAPTURED, PROVIDER, after, event, expected
from worker.providers.port import ProviderEvent

REFUNDED_30 = event("refunded", 30, "re-1")
TOTAL_30 = event("refund_total", 30)
CHARGED_BACK = event("chargeback", 100, "cb-1")


def decided(deposit: Deposit | None, one: ProviderEvent) -> Decision:
    return decide(deposit, PROVIDER, one)


def moved(deposit: Deposit, one: ProviderEvent) -> int:
    decision = decided(deposit, one)
    assert isinstance(decision, Apply), decision
    return decision.minor


@pytest.mark.parametrize(
    ("before", "one", "reason"),
    [
        ([], event(None), "unhandled_type"),
        ([CAPTURED], CAPTURED, "duplicate"),
        ([CAPTURED], event("failed"), "impossible_move"),
        ([event("failed", sequence=3)], event("failed", sequence=2), "stale"),
        ([event("failed")], event("failed"), "duplicate"),
        ([CAPTURED, REFUNDED_30], REFUNDED_30, "duplicate"),
        ([CAPTURED, TOTAL_30], event("refund_total", 20), "stale"),
        ([CAPTURED, TOTAL_30], TOTAL_30, "stale"),
        ([CAPTURED, CHARGED_BACK], CHARGED_BACK, "duplicate"),
        (
            [CAPTURED, CHARGED_BACK, event("chargeback_reversed", part="cb-1")],
            event("chargeback_reversed", part="cb-1"),
            "duplicate",
        ),
        ([CAPTURED, CHARGED_BACK, event("chargeback_reversed")], CHARGED_BACK, "duplicate"),
        (
            [CAPTURED, REFUNDED_30, event("refund_reversed", 30, "re-1")],
            event("refund_reversed", 30, "re-1"),
            "duplicate",
        ),
        (
            [CAPTURED, event("capture_reversed", part="cap-1")],
            event("capture_reversed", part="cap-1"),
            "duplicate",
        ),
    ],
)
def test_what_is_known_is_ignored(before: list[ProviderEvent], one: ProviderEvent, reason: str) -> None:
    assert decided(after(*before), one) == Ignore(reason)


@pytest.mark.parametrize(
    ("before", "one", "code"),
    [
        ([], event(None, problem="charge.refunded: amount is missing"), "malformed_event"),
        ([], event("captured", part="cap-1", amount_minor=100, currency=None), "malformed_event"),
        ([], event("refunded", 10), "malformed_event"),
        ([], event("captured", 100, "cap-1", currency="USD"), "currency_mismatch"),
        ([CAPTURED], event("captured", 99, "cap-1"), "amount_conflict"),
        ([CAPTURED, REFUNDED_30], event("refunded", 31, "re-1"), "amount_conflict"),
        ([CAPTURED, REFUNDED_30], event("refund_reversed", 29, "re-1"), "amount_conflict"),
        ([CAPTURED, CHARGED_BACK], event("chargeback", 99, "cb-1"), "amount_conflict"),
        ([CAPTURED, CHARGED_BACK], event("chargeback_reversed", 101, "cb-1"), "amount_conflict"),
        (
            [CAPTURED, CHARGED_BACK, event("chargeback_reversed", 50, "cb-1")],
            event("chargeback_reversed", 60, "cb-1"),
            "amount_conflict",
        ),
        ([CAPTURED, event("returned", 30, "ret-1")], event("returned", 31, "ret-1"), "amount_conflict"),
        ([CAPTURED], event("refund_total", 101), "exceeds_captured"),
    ],
)
def test_what_cannot_be_right_is_for_a_person(
    before: list[ProviderEvent], one: ProviderEvent, code: str
) -> None:
    decision = decided(after(*before), one)
    assert isinstance(decision, Reject)
    assert decision.code == code
    assert decision.detail["cause"]


@pytest.mark.parametrize(
    ("before", "one", "reason"),
    [
        ([], REFUNDED_30, "awaiting_capture"),
        ([CAPTURED], event("refunded", 10, "re-1", object_id="pay-2"), "awaiting_capture"),
        ([CAPTURED], event("refund_reversed", 30, "re-1"), "awaiting_refund"),
        ([CAPTURED], event("chargeback_reversed", part="cb-1"), "awaiting_chargeback"),
        (
            [CAPTURED, event("chargeback", 40, "cb-1"), event("chargeback", 60, "cb-2")],
            event("chargeback_reversed"),
            "awaiting_chargeback",
        ),
        ([], CHARGED_BACK, "awaiting_capture"),
        ([], event("returned", 100, "ret-1"), "awaiting_capture"),
        ([], event("capture_reversed", part="cap-1"), "awaiting_capture"),
    ],
)
def test_what_comes_too_early_waits_for_its_deposit(
    before: list[ProviderEvent], one: ProviderEvent, reason: str
) -> None:
    decision = decided(after(*before), one)
    assert isinstance(decision, Park)
    assert decision.reason == reason
    assert "deposit:sandbox:ref:ref-1" in decision.wait_keys
    assert f"deposit:sandbox:obj:{one.object_id}" in decision.wait_keys


def test_an_event_of_no_known_deposit_waits_by_reference_and_by_payment() -> None:
    keys = ("deposit:sandbox:ref:ref-1", "deposit:sandbox:obj:pay-1")
    assert decided(None, CAPTURED) == Park("unknown_reference", keys)


@pytest.mark.parametrize(
    ("before", "one", "minor"),
    [
        ([], CAPTURED, 100),
        ([event("failed")], CAPTURED, 100),
        ([event("failed", sequence=9)], event("captured", 100, "cap-1", sequence=1), 100),
        ([CAPTURED], event("captured", 20, "cap-2"), 20),
        ([CAPTURED], REFUNDED_30, -30),
        ([CAPTURED], TOTAL_30, -30),
        ([CAPTURED, TOTAL_30], REFUNDED_30, 0),
        ([CAPTURED, REFUNDED_30], TOTAL_30, 0),
        ([CAPTURED, REFUNDED_30], event("refund_total", 50), -20),
        ([CAPTURED, TOTAL_30], event("refunded", 50, "re-2"), -20),
        ([CAPTURED, TOTAL_30], event("refund_reversed", 30, "re-1"), 30),
        ([CAPTURED, REFUNDED_30], event("refund_reversed", part="re-1"), 30),
        ([CAPTURED, REFUNDED_30], CHARGED_BACK, -100),
        ([CAPTURED, CHARGED_BACK], event("chargeback_reversed"), 100),
        ([CAPTURED, CHARGED_BACK, event("chargeback_reversed")], event("chargeback", 100, "cb-1:2"), -100),
        ([CAPTURED], event("capture_reversed", part="cap-1"), -100),
        ([CAPTURED, REFUNDED_30], event("capture_reversed", part="cap-1"), -100),
        ([CAPTURED], event("returned", 40, "ret-1"), -40),
        ([CAPTURED], event("chargeback", 115, "cb-1"), -115),
        ([CAPTURED, CHARGED_BACK], event("chargeback", 100, "cb-2"), -100),
        ([CAPTURED, CHARGED_BACK], event("chargeback_reversed", 60, "cb-1"), 60),
        ([CAPTURED, CHARGED_BACK], event("chargeback_reversed", 40, "cb-1", is_total=True), 40),
        ([CAPTURED, event("chargeback", 40, "cb-1")], event("chargeback", 90, "cb-1", is_total=True), -50),
        ([], event("capture_total", 60, "cap-1"), 60),
        ([event("capture_total", 60, "cap-1")], event("capture_total", 100, "cap-1"), 40),
        ([CAPTURED, event("refund_total", 30, sequence=10)], event("refund_total", 10, sequence=20), 20),
        (
            [CAPTURED, event("capture_reversed", part="cap-1")],
            event("captured", 100, "c2", object_id="pay-2"),
            100,
        ),
    ],
)
def test_how_much_an_event_moves(before: list[ProviderEvent], one: ProviderEvent, minor: int) -> None:
    assert moved(after(*before), one) == minor


@pytest.mark.parametrize(
    ("before", "one", "reason"),
    [
        ([], CAPTURED, ""),
        ([], event("captured", 90, "cap-1"), "amount_differs"),
        ([event("captured", 90, "cap-1")], event("captured", 10, "cap-2"), ""),
        ([CAPTURED], event("captured", 100, "cap-9", object_id="pay-2"), "duplicate_capture"),
        ([CAPTURED, REFUNDED_30], TOTAL_30, "stale"),
    ],
)
def test_what_is_odd_is_said(before: list[ProviderEvent], one: ProviderEvent, reason: str) -> None:
    decision = decided(after(*before), one)
    assert isinstance(decision, Apply)
    assert decision.reason == reason


def test_a_late_reversal_told_by_a_total_alone_stays_right_when_the_refund_is_told() -> None:
    deposit = after(CAPTURED, TOTAL_30, event("refund_reversed", 30, "re-1"))
    assert deposit.refunded_minor == 0
    assert decided(deposit, REFUNDED_30) == Ignore("duplicate")


def legs(before: Deposit, one: ProviderEvent, borne_minor: int = 0) -> tuple[Leg, ...]:
    decision = decided(before, one)
    assert isinstance(decision, Apply), decision
    return decision.after.legs(decision.before, borne_minor)


def test_what_is_paid_beyond_the_announced_amount_waits_in_suspense_and_goes_back_from_there() -> None:
    second = event("captured", 100, "cap-9", object_id="pay-2")
    assert legs(after(CAPTURED), second)[0] == Leg(DUPLICATE_CAPTURE, "EUR", 100)
    paid_twice = after(CAPTURED, second)
    assert paid_twice.object_ids == ("pay-1", "pay-2")
    for payment in paid_twice.object_ids:
        refund = event("refunded", 100, "re-1", object_id=payment)
        assert legs(paid_twice, refund)[0] == Leg(DUPLICATE_CAPTURE, "EUR", -100)
    once = after(CAPTURED, second, event("refunded", 100, "re-1", object_id="pay-2"))
    assert legs(once, event("refunded", 100, "re-2"))[0] == Leg(
        "wallet:ada:available", "EUR", -100, SHORTFALL
    )


def test_a_second_payment_that_an_earlier_release_kept_apart_stays_apart() -> None:
    """Its money is in suspense although the first payment went back since."""
    kept = expected(
        captures={"cap-1": Part(100, "pay-1"), "cap-2": Part(100, "pay-2", duplicate=True)},
        refunds={"re-1": Part(100, "pay-1")},
    )
    assert kept.position == Position(0, 100, 0)
    assert replace(kept, allocated={"pay-2": 100}).position == Position(100, 0, 0)
    assert legs(kept, event("refunded", 100, "re-2", object_id="pay-2"))[0] == Leg(
        DUPLICATE_CAPTURE, "EUR", -100
    )


@pytest.mark.parametrize(
    ("shortfall", "wallet", "suspense"), [(0, 100, 0), (30, 70, 30), (100, 0, 100), (150, 0, 100)]
)
def test_money_that_comes_in_makes_good_what_suspense_bore(
    shortfall: int, wallet: int, suspense: int
) -> None:
    found = {leg.code: leg.amount_minor for leg in legs(expected(), CAPTURED, shortfall)}
    assert found.get("wallet:ada:available", 0) == wallet
    assert found.get(SHORTFALL, 0) == suspense
    assert sum(found.values()) == 0


def test_what_a_payment_never_had_is_not_asked_of_the_wallet() -> None:
    found = {leg.code: leg for leg in legs(after(CAPTURED), event("chargeback", 115, "cb-1"))}
    assert found["wallet:ada:available"] == Leg("wallet:ada:available", "EUR", -100, SHORTFALL)
    assert found[SHORTFALL] == Leg(SHORTFALL, "EUR", -15)


def test_no_two_effects_share_a_ledger_key() -> None:
    one, other = expected(reference="a"), expected(reference="a:capture:x")
    assert one.key("capture:x:capture:y") != other.key("capture:y")


def test_the_facts_survive_their_row() -> None:
    deposit = after(
        CAPTURED,
        event("refunded", 30, "re-1", made_at=3),
        event("refund_total", 50, sequence=7),
        CHARGED_BACK,
        event("chargeback_reversed", 60, "cb-1"),
        event("returned", 5, "ret-1"),
    )
    deposit = replace(deposit, allocated={"pay-1": 7}, given_back={"pay-1": 50})
    row = {
        "provider": deposit.provider,
        "reference": deposit.reference,
        "owner": deposit.owner,
        "currency": deposit.currency,
        "expected_minor": deposit.expected_minor,
        **deposit.as_row(),
    }
    assert Deposit.from_row(row) == deposit


def test_the_facts_of_an_earlier_release_are_read() -> None:
    row = {
        "provider": PROVIDER, "reference": "ref-1", "owner": "ada", "currency": "EUR", "expected_minor": 100,
        "object_ids": ["pay-1"],
        "parts": {
            "failed": False,
            "captures": {"cap-1": {"amount_minor": 100, "object_id": "pay-1", "reversed": False,
                                   "duplicate": False}},
            "refunds": {"re-1": {"amount_minor": 30, "object_id": "pay-1", "reversed": True, "duplicate": False}},
            "chargebacks": {"cb-1": {"amount_minor": 100, "object_id": "pay-1", "reversed": True,
                                     "duplicate": False}},
            "totals": {"pay-1": 50},
            "sequences": {},
        },
    }  # fmt: skip
    deposit = Deposit.from_row(row)
    assert (deposit.captured_minor, deposit.refunded_minor, deposit.charged_back_minor) == (100, 20, 0)
    assert moved(deposit, event("refund_total", 60, sequence=10)) == -40
