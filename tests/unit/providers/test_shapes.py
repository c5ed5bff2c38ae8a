"""Our fixtures have the vendors' shapes: held against the published vectors wherever these are at hand."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.providers.shapes import FIXTURES, NOW, adyen_body, encoded, fixture
from worker.providers import adyen, stripe

ADYEN_VECTOR_SECRET = "74F490DD33F7327BAECC88B2947C011FC02D014A473AAA33A8EC93E4DC069174"
REPOSITORY = Path(__file__).parents[3]
VECTORS = Path(os.environ.get("LEDGERBEAT_VECTORS") or REPOSITORY.parent / "shared" / "vectors")

# What the adapters read of each object, and as what. A fixture must have it; a vector must not contradict it.
READ: dict[str, dict[str, type | tuple[type, ...]]] = {
    "stripe_event": {"id": str, "object": str, "created": int, "type": str, "data": dict},
    "stripe_charge": {
        "id": str,
        "object": str,
        "amount": int,
        "amount_captured": int,
        "amount_refunded": int,
        "captured": bool,
        "currency": str,
        "metadata": dict,
        "payment_intent": (str, type(None)),
    },
    "stripe_refund": {"id": str, "object": str, "amount": int, "charge": str, "currency": str, "status": str},
    "stripe_dispute": {
        "id": str,
        "object": str,
        "amount": int,
        "charge": str,
        "currency": str,
        "status": str,
    },
    "stripe_payout": {
        "id": str,
        "object": str,
        "amount": int,
        "currency": str,
        "failure_code": (str, type(None)),
        "metadata": dict,
        "status": str,
    },
    "stripe_transfer": {
        "id": str,
        "object": str,
        "amount": int,
        "amount_reversed": int,
        "currency": str,
        "metadata": dict,
        "reversed": bool,
    },
    "adyen_item": {
        "additionalData": dict,
        "amount": dict,
        "eventCode": str,
        "eventDate": str,
        "merchantAccountCode": str,
        "merchantReference": str,
        "pspReference": str,
        "success": (str, bool),
    },
    "adyen_transfer": {"type": str, "data": dict, "timestamp": str},
    "sandbox_event": {"id": str, "type": str, "occurred_at": str, "data": dict},
}
SAME_SHAPE = {
    "stripe/event.json": "stripe_event",
    "stripe/charge.json": "stripe_charge",
    "stripe/refund.json": "stripe_refund",
    "stripe/dispute.json": "stripe_dispute",
    "stripe/payout.json": "stripe_payout",
    "stripe/transfer.json": "stripe_transfer",
    "adyen/authorisation_backslash.json": "adyen_item",
    "adyen/authorisation_mixed.json": "adyen_item",
}


def vectors() -> dict[str, dict[str, Any]]:
    """The published objects by file name: none where a clone stands alone."""
    files = [path for path in SAME_SHAPE if (VECTORS / path).is_file()]
    return {path: json.loads((VECTORS / path).read_text()) for path in files}


def assert_shape(record: dict[str, Any], name: str) -> None:
    for field, kind in READ[name].items():
        assert isinstance(record[field], kind), f"{name}.{field} is {type(record[field])}"


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("*.json")))
def test_a_fixture_has_what_the_adapters_read(name: str) -> None:
    assert_shape(fixture(name), name)


def test_the_vectors_have_it_too_and_every_field_of_a_fixture() -> None:
    for path, record in vectors().items():
        assert_shape(record, SAME_SHAPE[path])
        assert set(fixture(SAME_SHAPE[path])) <= set(record), path


def test_the_published_notifications_verify_and_read() -> None:
    for item in (record for path, record in vectors().items() if path.startswith("adyen/")):
        body = adyen_body(item)
        assert adyen.verify([ADYEN_VECTOR_SECRET], {}, body, NOW) == 0
        (event,) = adyen.parse(body, {})
        assert (event.move, event.reference, event.problem) == ("captured", item["merchantReference"], None)


def test_the_published_objects_are_understood_as_events() -> None:
    types = {
        "charge": "charge.captured",
        "refund": "refund.created",
        "dispute": "charge.dispute.created",
        "payout": "payout.updated",
        "transfer": "transfer.created",
    }
    objects = [record for path, record in vectors().items() if record.get("object") in types]
    for subject in [*objects, *(fixture(f"stripe_{kind}") for kind in types)]:
        envelope = fixture("stripe_event") | {"type": types[subject["object"]], "data": {"object": subject}}
        (event,) = stripe.parse(encoded(envelope), {})
        assert event.problem is None
