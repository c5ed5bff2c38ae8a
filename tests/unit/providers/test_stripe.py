"""What Stripe's events mean."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from stripe.params import _webhook_endpoint_create_params as known

from models.money import BIGINT_MAX, UnknownCurrency
from tests.unit.providers.shapes import encoded, fixture, stripe_body
from tests.unit.providers.vendors import intent, stripe_event
from worker.providers import stripe
from worker.providers.fields import NotUnderstood
from worker.providers.port import MalformedEvent, ProviderEvent

CHARGE, REFUND, DISPUTE = "ch_LedgerbeatCharge001", "re_LedgerbeatRefund001", "dp_LedgerbeatDispute01"
PAYOUT_REFERENCE = "0000000000000000000000000000004d-1"
INTENT = "pi_LedgerbeatIntent01"


def known_types() -> set[str]:
    """The event types that a webhook endpoint may be made for, by Stripe's own library."""
    source = Path(str(known.__file__)).read_text()
    return set(re.findall(r'"([a-z0-9_]+(?:\.[a-z0-9_]+)+)"', source))


def parsed(type_: str, subject: str = "stripe_charge", **changes: Any) -> ProviderEvent:
    (event,) = all_parsed(type_, subject, **changes)
    return event


def all_parsed(type_: str, subject: str = "stripe_charge", **changes: Any) -> tuple[ProviderEvent, ...]:
    return stripe.parse(stripe_body(type_, subject, **changes), {})


def test_a_capture_is_read_whole() -> None:
    assert parsed("charge.succeeded") == ProviderEvent(
        event_key="evt_LedgerbeatEvent0001",
        type="charge.succeeded",
        move="capture_total",
        reference="dep-1001",
        object_id=CHARGE,
        part_id=CHARGE,
        amount_minor=2500,
        currency="EUR",
        sequence=None,
        occurred_at="2026-11-18T11:06:40+00:00",
    )


@pytest.mark.parametrize(
    ("type_", "changes", "move", "part_id", "amount_minor"),
    [
        ("charge.succeeded", {"captured": True}, "capture_total", CHARGE, 2500),
        ("charge.succeeded", {"captured": False, "amount_captured": 0}, "authorised", None, 2500),
        ("charge.captured", {"amount_captured": 2100}, "capture_total", CHARGE, 2100),
        ("charge.captured", {"amount_captured": None}, "capture_total", CHARGE, 2500),
        ("charge.failed", {"captured": False, "status": "failed"}, "failed", None, 2500),
        ("charge.failed", {"captured": True, "status": "failed"}, "failed", None, 2500),
        ("charge.expired", {"captured": False}, "failed", None, 2500),
        ("charge.refunded", {"amount_refunded": 700}, "refund_total", None, 700),
        ("charge.refunded", {"amount_refunded": 2500, "refunded": True}, "refund_total", None, 2500),
        ("charge.refunded", {"amount_refunded": 0}, "refund_total", None, 0),
        (
            "charge.refunded",
            {"captured": False, "amount_captured": 0, "amount_refunded": 2500},
            "failed",
            None,
            2500,
        ),
        ("charge.refunded", {"amount_captured": 2100, "amount_refunded": 500}, "refund_total", None, 500),
        ("charge.pending", {"captured": False, "status": "pending"}, None, None, None),
        ("charge.updated", {}, "capture_total", CHARGE, 2500),
        ("charge.updated", {"captured": False, "amount_captured": 700}, "capture_total", CHARGE, 700),
        ("charge.updated", {"captured": False, "amount_captured": 0}, None, None, None),
        ("charge.updated", {"status": "failed"}, None, None, None),
    ],
)
def test_events_of_a_charge(
    type_: str, changes: dict[str, Any], move: str | None, part_id: str | None, amount_minor: int | None
) -> None:
    event = parsed(type_, **changes)
    assert (event.move, event.part_id, event.amount_minor, event.problem) == (
        move,
        part_id,
        amount_minor,
        None,
    )
    assert event.reference == "dep-1001"


@pytest.mark.parametrize(
    ("type_", "changes", "released"),
    [
        # 2500 authorised, 2100 captured: 400 went back unpaid, and amount_refunded counts them, or not
        ("charge.captured", {"amount_captured": 2100, "amount_refunded": 400}, 400),
        ("charge.captured", {"amount_captured": 2100, "amount_refunded": 0}, 0),
        ("charge.captured", {}, 0),
        ("charge.succeeded", {}, None),
        ("charge.refunded", {"amount_captured": 2100, "amount_refunded": 500}, 400),
        ("charge.refunded", {"amount_captured": 2100, "amount_refunded": 100}, None),
        ("charge.refunded", {"amount_refunded": 500}, None),
    ],
)
def test_what_a_capture_released_is_told_apart(
    type_: str, changes: dict[str, Any], released: int | None
) -> None:
    assert parsed(type_, **changes).released_minor == released


def test_a_total_is_of_the_beginning_of_its_second_or_of_its_end() -> None:
    """`charge.refunded` tells of a refund that was just made; an update of what has become of refunds since."""
    (refunded,) = all_parsed("charge.refunded", amount_refunded=700)
    subject = fixture("stripe_charge") | {"amount_refunded": 0}
    changed = stripe_event("charge.updated", subject, before={"amount_refunded": 700}) | {
        "created": 1795000000
    }
    capture, updated = stripe.parse(encoded(changed), {})
    assert (capture.move, updated.move) == ("capture_total", "refund_total")
    assert (refunded.sequence, updated.sequence) == (3590000000, 3590000001)


def test_a_charge_that_came_back_was_captured_before() -> None:
    events = all_parsed("charge.failed", status="failed", failure_balance_transaction="txn_9")
    assert [(one.move, one.part_id, one.amount_minor) for one in events] == [
        ("capture_total", CHARGE, 2500),
        ("capture_reversed", CHARGE, 2500),
    ]
    assert [one.event_key for one in events] == [
        "evt_LedgerbeatEvent0001:capture_total",
        "evt_LedgerbeatEvent0001",
    ]


@pytest.mark.parametrize(
    "type_", ["refund.created", "refund.updated", "refund.failed", "charge.refund.updated"]
)
@pytest.mark.parametrize(
    ("status", "moves"),
    [
        ("succeeded", ["refunded"]),
        ("pending", ["refunded"]),  # it has a balance transaction
        ("failed", ["refunded", "refund_reversed"]),
        ("canceled", ["refunded", "refund_reversed"]),
        ("requires_action", [None]),
        ("something_new", [None]),
    ],
)
def test_events_of_a_refund(type_: str, status: str, moves: list[str | None]) -> None:
    events = all_parsed(type_, "stripe_refund", status=status)
    assert [one.move for one in events] == moves
    for event in events:
        assert (event.problem, event.reference) == (None, INTENT)
        if event.move:
            assert (event.part_id, event.object_id, event.amount_minor) == (REFUND, CHARGE, 700)
            assert event.made_at == 1795000100


@pytest.mark.parametrize(
    ("status", "move"),
    [
        ("failed", "refund_voided"),
        ("canceled", "refund_voided"),
        ("succeeded", "released"),
        ("pending", None),
    ],
)
def test_a_refund_without_balance_transaction_moved_nothing(status: str, move: str | None) -> None:
    event = parsed("refund.updated", "stripe_refund", status=status, balance_transaction=None)
    assert (event.move, event.part_id, event.problem) == (move, REFUND if move else None, None)


@pytest.mark.parametrize("status", ["succeeded", "failed", "canceled"])
@pytest.mark.parametrize("changes", [{"charge": None, "payment_intent": None}])
def test_a_refund_that_moved_nothing_of_a_charge_is_no_move(status: str, changes: dict[str, Any]) -> None:
    event = parsed("refund.updated", "stripe_refund", status=status, **changes)
    assert (event.move, event.problem, event.refusal) == (None, None, None)


WITHDRAWN = {"amount": -2500, "currency": "eur"}
GIVEN_BACK = {"amount": 1000, "currency": "eur"}


@pytest.mark.parametrize("type_", ["created", "updated", "funds_withdrawn", "funds_reinstated", "closed"])
@pytest.mark.parametrize("status", ["needs_response", "won", "lost", "under_review", "appeal_under_review"])
@pytest.mark.parametrize(
    ("listed", "moves"),
    [
        ([WITHDRAWN], [("chargeback", 2500)]),
        ([WITHDRAWN, GIVEN_BACK], [("chargeback", 2500), ("chargeback_reversed", 1000)]),
    ],
)
def test_a_dispute_is_what_its_balance_transactions_say(
    type_: str, status: str, listed: list[dict[str, Any]], moves: list[tuple[str, int]]
) -> None:
    events = all_parsed(
        f"charge.dispute.{type_}", "stripe_dispute", status=status, balance_transactions=listed
    )
    assert [(one.move, one.amount_minor) for one in events] == moves
    assert {(one.part_id, one.object_id, one.is_total) for one in events} == {(DISPUTE, CHARGE, True)}


@pytest.mark.parametrize(
    ("type_", "status", "move"),
    [
        ("created", "needs_response", "chargeback"),
        ("created", "under_review", "chargeback"),
        ("created", "lost", "chargeback"),
        ("created", "warning_needs_response", None),
        ("created", "warning_under_review", None),
        ("created", "prevented", None),
        ("funds_withdrawn", "needs_response", "chargeback"),
        ("funds_reinstated", "under_review", "chargeback_reversed"),
        ("funds_reinstated", "won", "chargeback_reversed"),
        ("closed", "won", "chargeback_reversed"),
        ("closed", "lost", None),
        ("closed", "warning_closed", None),
        ("updated", "under_review", None),
    ],
)
def test_a_dispute_without_a_list_is_what_its_type_says(type_: str, status: str, move: str | None) -> None:
    event = parsed(f"charge.dispute.{type_}", "stripe_dispute", status=status, balance_transactions=None)
    assert (event.move, event.problem, event.is_total) == (move, None, None)
    if move:
        assert (event.part_id, event.object_id, event.amount_minor) == (DISPUTE, CHARGE, 2500)


@pytest.mark.parametrize("type_", ["created", "updated", "closed"])
@pytest.mark.parametrize("status", ["needs_response", "won", "lost", "warning_closed"])
def test_a_dispute_whose_list_is_empty_moved_nothing(type_: str, status: str) -> None:
    event = parsed(f"charge.dispute.{type_}", "stripe_dispute", status=status, balance_transactions=[])
    assert (event.move, event.problem) == (None, None)


@pytest.mark.parametrize(
    ("changes", "move"),
    [
        ({}, "failed"),
        ({"latest_charge": "ch_1"}, "failed"),
        ({"amount_received": 5}, None),
        ({"metadata": {}}, None),
        ({"metadata": {}, "latest_charge": "ch_1"}, "failed"),
        ({"status": "succeeded"}, None),
    ],
)
def test_a_canceled_intent_ends_a_deposit_of_ours(changes: dict[str, Any], move: str | None) -> None:
    subject = intent("canceled") | changes
    (event,) = stripe.parse(encoded(stripe_event("payment_intent.canceled", subject)), {})
    assert (event.move, event.object_id, event.problem) == (
        move,
        changes.get("latest_charge") if move else None,
        None,
    )


@pytest.mark.parametrize("type_", sorted(known_types()))
def test_every_type_that_stripe_knows_is_known(type_: str) -> None:
    event = parsed(type_, "stripe_charge")
    assert event.refusal is None


@pytest.mark.parametrize("type_", ["something.new", "charge.teleported", "refund.vanished", "payout.mislaid"])
def test_a_type_in_no_list_is_said_to_be_unknown(type_: str) -> None:
    event = parsed(type_)
    assert (event.type, event.move, event.problem, event.refusal) == (type_, None, None, "unknown_event_type")


@pytest.mark.parametrize(
    "type_",
    [
        "payment_intent.succeeded",
        "payout.reconciliation_completed",
        "topup.succeeded",
        "balance.available",
        "v2.core.account[requirements].updated",
    ],
)
def test_other_events_move_nothing(type_: str) -> None:
    event = parsed(type_)
    assert (event.type, event.move, event.problem) == (type_, None, None)


@pytest.mark.parametrize(
    ("type_", "status", "move", "rank"),
    [
        ("payout.created", "pending", "payout_submitted", 0),
        ("payout.created", "in_transit", "payout_submitted", 0),
        ("payout.created", "paid", "payout_paid", 1),
        ("payout.updated", "in_transit", "payout_submitted", 0),
        ("payout.updated", "paid", "payout_paid", 1),
        ("payout.paid", "paid", "payout_paid", 1),
        ("payout.failed", "failed", "payout_failed", 2),
        ("payout.canceled", "canceled", "payout_failed", 2),
        ("payout.updated", "something_new", None, None),
        ("payout.reconciliation_completed", "paid", None, None),
    ],
)
def test_events_of_a_payout(type_: str, status: str, move: str | None, rank: int | None) -> None:
    event = parsed(type_, "stripe_payout", status=status)
    assert (event.move, event.problem, event.reference) == (move, None, PAYOUT_REFERENCE)
    if move:
        assert (event.object_id, event.amount_minor, event.currency) == (
            "po_LedgerbeatPayout001",
            2500,
            "EUR",
        )
        assert event.sequence == 17950000000 + (rank or 0)


def test_that_a_reversal_was_asked_for_says_nothing_of_the_payout() -> None:
    event = parsed("payout.updated", "stripe_payout", status="paid", reversed_by="po_LedgerbeatPayout002")
    assert (event.move, event.sequence) == ("payout_paid", 17950000001)


@pytest.mark.parametrize(
    ("type_", "changes", "move", "rank", "code"),
    [
        ("payout.paid", {"status": "paid"}, "payout_reversed", 1, "reversed"),
        ("payout.updated", {"status": "paid"}, "payout_reversed", 1, "reversed"),
        ("payout.failed", {"status": "failed", "failure_code": "account_closed"}, "payout_reversal_failed", 2,
         "account_closed"),
        ("payout.canceled", {"status": "canceled"}, "payout_reversal_failed", 2, None),
        ("payout.created", {"status": "pending"}, None, None, None),
        ("payout.updated", {"status": "in_transit"}, None, None, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("amount", [-2500, 2500])
def test_the_end_of_a_reversal_is_about_the_payout_that_it_brings_back(
    type_: str, changes: dict[str, Any], move: str | None, rank: int | None, code: str | None, amount: int
) -> None:
    reversing = {
        "id": "po_Back",
        "original_payout": "po_LedgerbeatPayout001",
        "metadata": {},
        "amount": amount,
    }
    event = parsed(type_, "stripe_payout", **(reversing | changes))
    assert (event.move, event.problem, event.reference, event.code) == (move, None, None, code)
    if rank is not None:
        assert (event.object_id, event.part_id) == ("po_LedgerbeatPayout001", "po_Back")
        assert (event.amount_minor, event.currency, event.sequence) == (2500, "EUR", 17950000000 + rank)


@pytest.mark.parametrize(
    ("type_", "changes", "move", "rank"),
    [
        ("transfer.created", {}, "payout_paid", 1),
        ("transfer.updated", {}, "payout_paid", 1),
        ("transfer.updated", {"reversed": True, "amount_reversed": 2500}, "payout_returned", 3),
        ("transfer.reversed", {"reversed": True, "amount_reversed": 2500}, "payout_returned", 3),
    ],
)
def test_events_of_a_transfer(type_: str, changes: dict[str, Any], move: str, rank: int) -> None:
    event = parsed(type_, "stripe_transfer", **changes)
    assert (event.move, event.problem, event.reference) == (move, None, PAYOUT_REFERENCE)
    assert (event.object_id, event.sequence) == ("tr_LedgerbeatTransfer1", 17950000000 + rank)


@pytest.mark.parametrize(
    ("type_", "subject", "changes"),
    [
        ("transfer.reversed", "stripe_transfer", {"amount_reversed": 700}),  # in part: only a person can say
        ("transfer.updated", "stripe_transfer", {"reversed": None}),
        ("payout.paid", "stripe_payout", {"id": None}),
        ("payout.paid", "stripe_payout", {"status": None}),
        ("payout.paid", "stripe_payout", {"metadata": {"reference": ""}}),
        ("payout.paid", "stripe_charge", {"object": "something"}),
    ],
)
def test_a_payout_that_cannot_be_read_is_a_problem(type_: str, subject: str, changes: dict[str, Any]) -> None:
    event = parsed(type_, subject, **changes)
    assert (event.move, event.problem is None) == (None, False)


def test_a_part_of_somebody_elses_transfer_is_no_problem() -> None:
    event = parsed("transfer.updated", "stripe_transfer", amount_reversed=700, metadata={})
    assert (event.reference, event.problem) == (None, None)


@pytest.mark.parametrize("created", [None, "1795000000", -1, 10**18])
def test_a_payout_needs_its_second_for_the_order(created: object) -> None:
    body = json.loads(stripe_body("payout.paid", "stripe_payout", status="paid")) | {"created": created}
    (event,) = stripe.parse(encoded(body), {})
    assert (event.move, event.problem is None) == (None, False)


@pytest.mark.parametrize("metadata", [{}, None, {"other": "x"}])
@pytest.mark.parametrize("subject", ["stripe_payout", "stripe_transfer"])
def test_a_payout_without_our_reference_names_none(subject: str, metadata: object) -> None:
    """Stripe's automatic payouts, and those that others make in the same account."""
    type_ = "payout.created" if subject == "stripe_payout" else "transfer.created"
    event = parsed(type_, subject, metadata=metadata)
    assert (event.reference, event.problem) == (None, None)
    assert event.object_id is not None


@pytest.mark.parametrize(
    ("status", "failure_code", "code"),
    [
        ("failed", "account_closed", "account_closed"),
        ("failed", None, None),
        ("failed", "Jane Doe's bank", None),
        ("canceled", None, "canceled"),
    ],
)
def test_a_failed_payout_says_why(status: str, failure_code: object, code: str | None) -> None:
    event = parsed(f"payout.{status}", "stripe_payout", status=status, failure_code=failure_code)
    assert (event.move, event.code) == ("payout_failed", code)


@pytest.mark.parametrize(
    ("currency", "amount", "iso"),
    [("jpy", 2500, 2500), ("isk", 250000, 2500), ("ugx", 250000, 2500), ("huf", 10000, 10000)],
)
def test_a_payouts_amount_is_read_in_iso_minor_units(currency: str, amount: int, iso: int) -> None:
    event = parsed("payout.paid", "stripe_payout", status="paid", currency=currency, amount=amount)
    assert (event.amount_minor, event.problem) == (iso, None)


def test_a_thin_event_that_has_no_other_form_moves_nothing() -> None:
    thin = {
        "id": "evt_test_65R9Ijk8dKEYZcXeRWn16R9A7j1FSQ3w3TGDPLLGSM4CW0",
        "object": "v2.core.event",
        "type": "v1.billing.meter.error_report_triggered",
        "created": "2026-11-20T09:15:30.000Z",
        "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
    }
    (event,) = stripe.parse(encoded(thin), {})
    assert (event.event_key, event.move, event.problem) == (thin["id"], None, None)
    assert event.occurred_at == "2026-11-20T09:15:30+00:00"


@pytest.mark.parametrize(
    ("changes", "reference"),
    [
        ({"metadata": {"reference": "our ref / 7"}}, "our ref / 7"),
        ({"metadata": {}}, INTENT),
        ({"metadata": None}, INTENT),
        ({"metadata": {}, "payment_intent": None}, CHARGE),
    ],
)
def test_the_reference_is_ours_else_the_intent_else_the_charge(
    changes: dict[str, Any], reference: str
) -> None:
    assert parsed("charge.succeeded", **changes).reference == reference


@pytest.mark.parametrize(
    ("currency", "amount", "iso"),
    [
        ("eur", 2500, 2500),
        ("EUR", 2500, 2500),
        ("huf", 2500, 2500),
        ("twd", 2500, 2500),
        ("jpy", 2500, 2500),
        ("krw", 1, 1),
        ("isk", 2500, 25),
        ("ugx", 100, 1),
        ("mga", 25, 2500),
        ("bhd", 2500, 2500),
        ("tnd", 10, 10),
        ("cve", 2500, 2500),
    ],
)
def test_amounts_become_iso_minor_units(currency: str, amount: int, iso: int) -> None:
    event = parsed("charge.succeeded", currency=currency, amount=amount, amount_captured=amount)
    assert (event.amount_minor, event.currency, event.problem) == (iso, currency.upper(), None)


@pytest.mark.parametrize(
    ("currency", "amount"),
    [
        ("isk", 2550),
        ("ugx", 99),
        ("mga", BIGINT_MAX),
        ("clf", 10_000),
        ("uyi", 10),
        ("iqd", 1000),
        ("xxx", 100),
        ("eu", 100),
        ("\u0131dr", 100),
        (None, 100),
        ("eur", -1),
        ("eur", 1.0),
        ("eur", "100"),
        ("eur", True),
        ("eur", BIGINT_MAX + 1),
    ],
)
def test_an_amount_that_is_not_exact_is_a_problem(currency: Any, amount: Any) -> None:
    event = parsed("charge.succeeded", currency=currency, amount=amount, amount_captured=amount)
    assert (event.move, event.amount_minor) == (None, None)
    assert event.problem is not None


def test_stripes_exponents_are_documented_or_not_guessed() -> None:
    assert [stripe.exponent(code) for code in ("EUR", "JPY", "ISK", "MGA", "KWD")] == [2, 0, 2, 0, 3]
    with pytest.raises(NotUnderstood):
        stripe.exponent("LYD")
    with pytest.raises(UnknownCurrency):
        stripe.exponent("QQQ")


@pytest.mark.parametrize(
    ("type_", "subject", "changes"),
    [
        ("charge.succeeded", "stripe_charge", {"captured": "true"}),
        ("charge.succeeded", "stripe_charge", {"captured": None}),
        ("charge.succeeded", "stripe_charge", {"id": None}),
        ("charge.succeeded", "stripe_charge", {"id": "with space"}),
        ("charge.succeeded", "stripe_charge", {"object": "payment"}),
        ("charge.succeeded", "stripe_charge", {"metadata": {"reference": 7}}),
        ("charge.succeeded", "stripe_charge", {"metadata": {"reference": ""}}),
        ("charge.succeeded", "stripe_charge", {"metadata": {"reference": "x" * 256}}),
        ("charge.refunded", "stripe_charge", {"amount_refunded": None}),
        ("charge.succeeded", "stripe_charge", {"amount_captured": "2500"}),
        ("refund.created", "stripe_refund", {"charge": None}),
        ("refund.created", "stripe_refund", {"charge": {"id": "ch_1"}}),
        ("refund.created", "stripe_refund", {"status": None}),
        ("refund.created", "stripe_refund", {"amount": None}),
        ("refund.failed", "stripe_refund", {"id": 7}),
        ("charge.dispute.created", "stripe_dispute", {"status": ["needs_response"]}),
        ("charge.dispute.created", "stripe_dispute", {"charge": ""}),
        ("charge.dispute.created", "stripe_dispute", {"balance_transactions": [{"amount": "-2500"}]}),
        ("charge.dispute.funds_withdrawn", "stripe_dispute", {"currency": None}),
    ],
)
def test_a_move_without_what_it_needs_is_a_problem(type_: str, subject: str, changes: dict[str, Any]) -> None:
    event = parsed(type_, subject, **changes)
    assert (event.event_key, event.type, event.move) == ("evt_LedgerbeatEvent0001", type_, None)
    assert event.problem is not None


@pytest.mark.parametrize("data", [None, [], {}, {"object": None}, {"object": []}])
def test_an_event_without_its_object_is_a_problem(data: object) -> None:
    body = encoded(fixture("stripe_event") | {"data": data})
    (event,) = stripe.parse(body, {})
    assert event.problem is not None


@pytest.mark.parametrize("event_id", [None, "", 7, "ev t", "e" * 201])
def test_without_any_identity_the_body_is_its_own(event_id: object) -> None:
    envelope = json.loads(stripe_body("charge.succeeded")) | {"id": event_id}
    (event,) = stripe.parse(encoded(envelope), {})
    assert event.event_key.startswith("sha256:")
    assert (event.move, event.problem is None) == (None, False)


def test_a_problem_repeats_nothing_personal() -> None:
    event = parsed("charge.succeeded", currency="Jane Doe", description="Jane Doe")
    assert "Jane" not in json.dumps(event.as_args())


def test_every_row_of_the_table_is_a_type_stripe_knows() -> None:
    assert known_types() >= stripe.TYPES


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"id":NaN}'])
def test_what_is_no_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedEvent):
        stripe.parse(body, {})
