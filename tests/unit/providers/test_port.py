"""ProviderEvent travels as job arguments."""

import json
from typing import Any

import pytest

from worker.providers.port import BadSignature, MalformedEvent, ProviderEvent, StaleSignature

EVENT = ProviderEvent(
    event_key="evt_1",
    type="deposit.captured",
    move="captured",
    reference="dep-1001",
    object_id="dep_1",
    part_id="dep_1",
    amount_minor=2500,
    currency="EUR",
    sequence=1,
    occurred_at="2026-11-20T09:15:30+00:00",
)


def test_an_event_survives_json() -> None:
    assert ProviderEvent.from_args(json.loads(json.dumps(EVENT.as_args()))) == EVENT


def test_a_problem_need_not_be_said() -> None:
    args = EVENT.as_args()
    del args["problem"]
    assert ProviderEvent.from_args(args) == EVENT


@pytest.mark.parametrize("change", [{"surprise": 1}, {"move": "stolen"}, {"move": "Captured"}])
def test_what_is_no_event_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a provider event"):
        ProviderEvent.from_args(EVENT.as_args() | change)


def test_a_missing_field_is_refused() -> None:
    args = EVENT.as_args()
    del args["reference"]
    with pytest.raises(ValueError, match="reference"):
        ProviderEvent.from_args(args)


def test_the_codes_are_the_contracts() -> None:
    codes = {
        BadSignature: "bad_signature",
        StaleSignature: "stale_signature",
        MalformedEvent: "malformed_json",
    }
    assert {kind: kind.code for kind in codes} == codes
