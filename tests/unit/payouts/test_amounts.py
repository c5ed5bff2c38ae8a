"""What a provider can be told: every currency that ISO 4217 knows, at every provider."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.money import BIGINT_MAX, CURRENCIES
from worker.providers import adyen, stripe
from worker.providers.fields import NotUnderstood
from worker.providers.payouts.amounts import (
    ROWS,
    NotRepresentable,
    Operation,
    from_provider,
    operation,
    representable,
    to_provider,
)

CONVERTED: list[tuple[str, Operation, str, int, int]] = [
    ("stripe", "payout", "EUR", 1234, 1234),
    ("stripe", "payout", "JPY", 500, 500),
    ("stripe", "payout", "MGA", 500, 5),  # ISO 4217 has two decimals, Stripe none
    ("stripe", "payout", "ISK", 7, 700),  # ISO 4217 has none, Stripe two that must be 00
    ("stripe", "payout", "UGX", 7, 700),
    ("stripe", "payout", "HUF", 12300, 12300),
    ("stripe", "transfer", "HUF", 12345, 12345),  # only payouts are held to whole units
    ("stripe", "payout", "TWD", 800, 800),
    ("stripe", "payout", "KWD", 12340, 12340),
    ("adyen", "payout", "EUR", 1234, 1234),
    ("adyen", "payout", "CLP", 5, 500),
    ("adyen", "payout", "ISK", 5, 500),
    ("adyen", "payout", "CVE", 500, 5),
    ("adyen", "payout", "IDR", 500, 5),
    ("adyen", "payout", "KWD", 12345, 12345),
    ("sandbox", "payout", "IDR", 501, 501),
    ("sandbox", "payout", "CLF", 1, 1),
]

REFUSED: list[tuple[str, Operation, str, int, str]] = [
    (
        "stripe",
        "payout",
        "HUF",
        12345,
        "123.45 HUF: it counts HUF with 2 decimals, and takes multiples of 100 only.",
    ),
    ("stripe", "payout", "TWD", 801, "multiples of 100 only"),
    ("stripe", "payout", "KWD", 12345, "multiples of 10 only"),
    ("stripe", "transfer", "TND", 1, "multiples of 10 only"),
    ("stripe", "payout", "MGA", 550, "5.50 MGA: it counts MGA in whole units."),
    ("stripe", "payout", "LYD", 1000, "stripe documents no minor unit of LYD."),
    ("stripe", "payout", "CLF", 10000, "stripe documents no minor unit of CLF."),
    ("stripe", "payout", "UGX", BIGINT_MAX, "that large"),
    ("adyen", "payout", "IDR", 501, "5.01 IDR: it counts IDR in whole units."),
    ("adyen", "payout", "CVE", 1, "whole units"),
    ("adyen", "payout", "CLP", BIGINT_MAX, "that large"),
    ("sandbox", "payout", "XXX", 1, "'XXX' is not an ISO 4217 currency"),
    ("sandbox", "payout", "EUR", 0, "not above 0"),
    ("sandbox", "payout", "EUR", -5, "not above 0"),
]


@pytest.mark.parametrize(("adapter", "what", "currency", "ours", "theirs"), CONVERTED)
def test_an_amount_is_converted_exactly(
    adapter: str, what: Operation, currency: str, ours: int, theirs: int
) -> None:
    assert to_provider(adapter, what, ours, currency) == theirs
    assert from_provider(adapter, what, theirs, currency) == ours
    assert representable(adapter, what, ours, currency) is None


@pytest.mark.parametrize(("adapter", "what", "currency", "ours", "words"), REFUSED)
def test_an_amount_that_cannot_be_told_is_refused_with_a_sentence(
    adapter: str, what: Operation, currency: str, ours: int, words: str
) -> None:
    problem = representable(adapter, what, ours, currency)
    assert problem is not None
    assert words in problem
    with pytest.raises(NotRepresentable):
        to_provider(adapter, what, ours, currency)


@given(
    adapter=st.sampled_from(sorted(ROWS)),
    what=st.sampled_from(["payout", "transfer"]),
    currency=st.sampled_from(sorted(CURRENCIES)),
    amount=st.integers(1, BIGINT_MAX),
)
def test_what_is_told_means_the_same_money_or_is_refused(
    adapter: str, what: Operation, currency: str, amount: int
) -> None:
    if representable(adapter, what, amount, currency) is None:
        assert from_provider(adapter, what, to_provider(adapter, what, amount, currency), currency) == amount


@pytest.mark.parametrize("currency", sorted(CURRENCIES))
def test_payouts_and_webhooks_count_a_currency_alike(currency: str) -> None:
    assert to_provider("adyen", "payout", 10_000, currency) == _scaled(currency, adyen.exponent(currency))
    try:
        exponent = stripe.exponent(currency)
    except NotUnderstood:
        assert representable("stripe", "payout", 10_000, currency) is not None
    else:
        assert to_provider("stripe", "payout", 10_000, currency) == _scaled(currency, exponent)


def _scaled(currency: str, exponent: int) -> int:
    return int(10_000 * 10**exponent // 10 ** CURRENCIES[currency])


def test_an_amount_from_a_provider_that_is_no_whole_minor_unit_is_refused() -> None:
    with pytest.raises(NotRepresentable, match="ISK"):
        from_provider("stripe", "payout", 701, "ISK")
    with pytest.raises(NotRepresentable, match="EUR"):
        from_provider("sandbox", "payout", -1, "EUR")


@pytest.mark.parametrize(
    ("adapter", "destination", "expected"),
    [
        ("stripe", "acct_1", "transfer"),
        ("stripe", "acct_1/ba_1", "payout"),
        ("stripe", "ba_1", "payout"),
        ("stripe", "default", "payout"),
        ("adyen", "BA1", "payout"),
        ("sandbox", "acct_1", "payout"),
    ],
)
def test_only_a_bare_stripe_account_is_a_transfer(adapter: str, destination: str, expected: str) -> None:
    assert operation(adapter, destination) == expected


def test_an_unknown_adapter_is_a_bug() -> None:
    with pytest.raises(KeyError):
        to_provider("bank", "payout", 1, "EUR")
