"""What of a payout's arguments is not even stored, and what is left alone."""

from typing import Any

import pytest

from models.errors import InvalidArguments
from worker.catalogue import parse
from worker.catalogue.describe import example
from worker.catalogue.redaction import IDS, REDACTED, redact

CARD, IBAN = "4111111111111111", "DE89370400440532013000"


@pytest.mark.parametrize(
    "value",
    [
        CARD,
        IBAN,
        IBAN.lower(),
        "4111 1111 1111 1111",
        "4111\u00a01111\u00a01111\u00a01111",
        "pay 4111 1111 1111 1111 please",
        "DE89 3704 0044 0532 0130 00",
        "iban: DE89 3704 0044 0532 0130 00",
        int(CARD),
        "a" * 10_001,
        {"iban": IBAN},
        [{"cards": [None, True, {"number": CARD}]}],
    ],
)
def test_a_number_is_not_kept_wherever_it_stands(value: Any) -> None:
    for name in ("payouts.request", "payouts.requests", "payout"):
        assert redact(name, {"owner": "ada", "destination": value}) == {
            "owner": "ada",
            "destination": REDACTED,
        }
    assert redact("payouts.request", {"iban": value}) == {"iban": REDACTED}


def test_what_was_taken_out_is_no_destination() -> None:
    asked = redact("payouts.request", {**example("payouts.request"), "destination": CARD})
    with pytest.raises(InvalidArguments) as caught:
        parse("payouts.request", asked)
    assert [error["pointer"] for error in caught.value.errors] == ["/destination"]


@pytest.mark.parametrize(
    "value", ["ba_ada", "SE322KT223222D5FJ7TJN2986", "4111111111111112", 7, None, [], {}, True]
)
def test_a_token_is_kept(value: Any) -> None:
    assert redact("payouts.request", {"destination": value}) == {"destination": value}


@pytest.mark.parametrize("field", IDS)
def test_ids_may_be_long_numbers(field: str) -> None:
    assert redact("payouts.request", {field: CARD}) == {field: CARD}


def test_other_jobs_are_left_alone() -> None:
    assert redact("wallets.credit", {"destination": CARD}) == {"destination": CARD}
