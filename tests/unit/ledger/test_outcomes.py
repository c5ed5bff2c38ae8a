"""What a posting may be: whatever is unbalanced, empty or impossible is refused before the database hears of it."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import MalformedPosting
from models.ledger.outcomes import Leg, Posting
from models.money import BIGINT_MAX

NOON = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
LEGS = (Leg("house:promo", "EUR", -100), Leg("wallet:ada:available", "EUR", 100))
PINNED = "5d89a5565b8ee88704425f31cd3749e7edccec0d907be1c131edc0bb8a2db221"
POSTING = Posting("acme", "k1", "test", LEGS, NOON)


def legs(*amounts: object, currencies: str = "") -> tuple[Leg, ...]:
    named = currencies.split() or ["EUR"] * len(amounts)
    return tuple(
        Leg(f"house:{number}", currency, amount)  # type: ignore[arg-type] # what a caller may get wrong
        for number, (amount, currency) in enumerate(zip(amounts, named, strict=True))
    )


@pytest.mark.parametrize(
    "broken",
    [
        (),
        legs(100),
        legs(-100, 101),
        legs(-100, 100, 1),
        legs(-100, 100, currencies="EUR USD"),
        legs(-100, 100, -5, 4, currencies="EUR EUR USD USD"),
        legs(-100, -100),
    ],
)
def test_legs_sum_to_zero_in_each_currency(broken: tuple[Leg, ...]) -> None:
    with pytest.raises(MalformedPosting, match="posting k1: legs must be two or more and sum to zero"):
        replace(POSTING, legs=broken)


@pytest.mark.parametrize("amount", [0, BIGINT_MAX + 1, 2**200, 1.0, 1.5, True, "1", None, float("nan")])
def test_an_amount_is_an_integer_that_moves_something_and_fits(amount: object) -> None:
    opposite = -amount if isinstance(amount, (int, float)) else amount
    with pytest.raises(MalformedPosting, match="an amount is zero, past BIGINT or not an integer"):
        replace(POSTING, legs=legs(amount, opposite))


def test_amounts_up_to_the_largest_bigint_are_sound() -> None:
    assert replace(POSTING, legs=legs(-BIGINT_MAX, BIGINT_MAX)).legs[1].amount_minor == BIGINT_MAX


def test_several_currencies_may_balance_each_by_itself() -> None:
    posting = replace(POSTING, legs=legs(-1, 1, -9, 4, 5, currencies="EUR EUR JPY JPY JPY"))
    assert len(posting.legs) == 5


def test_a_key_is_needed() -> None:
    with pytest.raises(MalformedPosting, match="a key and an aware time"):
        replace(POSTING, key="")


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(MalformedPosting, match="a key and an aware time"):
        replace(POSTING, occurred_at=datetime(2026, 3, 14))  # noqa: DTZ001 - the point


@pytest.mark.parametrize(
    "other",
    [
        replace(POSTING, kind="other"),
        replace(POSTING, subject="deposit:x:1"),
        replace(POSTING, legs=LEGS[::-1]),
        replace(POSTING, legs=(LEGS[0]._replace(cover="suspense:x"), LEGS[1])),
        replace(POSTING, legs=tuple(leg._replace(currency="USD") for leg in LEGS)),
        replace(POSTING, legs=tuple(leg._replace(amount_minor=-leg.amount_minor) for leg in LEGS)),
        replace(POSTING, legs=(LEGS[0], LEGS[1]._replace(code="wallet:bob:available"))),
    ],
)
def test_whatever_moves_money_otherwise_has_another_fingerprint(other: Posting) -> None:
    assert other.fingerprint != POSTING.fingerprint


@pytest.mark.parametrize(
    "same",
    [
        replace(POSTING, occurred_at=datetime(2020, 1, 1, tzinfo=UTC)),
        replace(POSTING, job_id=uuid4()),
        replace(POSTING, group="g", requires="k0"),
        replace(POSTING, key="k2", tenant="globex"),
    ],
)
def test_when_and_by_which_job_makes_no_other_fingerprint(same: Posting) -> None:
    assert same.fingerprint == POSTING.fingerprint


def test_a_fingerprint_is_the_same_in_every_process_for_ever() -> None:
    assert POSTING.fingerprint.hex() == PINNED


@given(st.lists(st.text(), min_size=2, max_size=2, unique=True))
def test_text_of_any_kind_is_told_apart(kinds: list[str]) -> None:
    one, other = (replace(POSTING, kind=kind, subject=kind).fingerprint for kind in kinds)
    assert one != other


NAMES = st.text() | st.sampled_from(["", "null", '"', "\\", "\n", "\ud800", "\x7f", "é"])


@given(NAMES, st.none() | NAMES, NAMES, st.none() | NAMES, st.integers(1, BIGINT_MAX))
def test_a_fingerprint_is_of_the_json_that_it_is_said_to_be(
    kind: str, subject: str | None, code: str, cover: str | None, amount: int
) -> None:
    parts = (Leg(code, "EUR", -amount, cover), Leg("house:promo", "EUR", amount))
    asked = replace(POSTING, kind=kind, subject=subject, legs=parts)
    listed = [[leg.code, leg.currency, leg.amount_minor, leg.cover] for leg in parts]
    said = json.dumps([kind, subject, listed]).encode()
    assert asked.fingerprint == hashlib.sha256(said).digest()
