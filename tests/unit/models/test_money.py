"""Money: exact, and the currencies that ISO 4217 knows."""

from decimal import Decimal

import iso4217
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.money import BIGINT_MAX, CURRENCIES, UnknownCurrency, exponent, format_minor


def test_the_currencies_are_those_of_iso_4217_that_have_a_minor_unit() -> None:
    published = {
        currency.code: currency.exponent for currency in iso4217.Currency if currency.exponent is not None
    }
    assert published == CURRENCIES


@pytest.mark.parametrize(
    ("currency", "places"), [("EUR", 2), ("JPY", 0), ("BHD", 3), ("CLF", 4), ("ISK", 0), ("TRY", 2)]
)
def test_an_exponent_is_the_number_of_decimal_places(currency: str, places: int) -> None:
    assert exponent(currency) == places


@pytest.mark.parametrize("currency", ["", "eur", "EURO", "XXX", "XAU", "BTC", "EUR ", "€"])
def test_what_is_no_currency_with_a_minor_unit_is_refused(currency: str) -> None:
    with pytest.raises(UnknownCurrency, match="is not an ISO 4217 currency"):
        exponent(currency)


@pytest.mark.parametrize(
    ("amount_minor", "currency", "shown"),
    [
        (123456, "EUR", "1,234.56 EUR"),
        (5, "EUR", "0.05 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (-123456, "EUR", "-1,234.56 EUR"),
        (0, "EUR", "0.00 EUR"),
        (100, "EUR", "1.00 EUR"),
        (1234567, "JPY", "1,234,567 JPY"),
        (-1, "JPY", "-1 JPY"),
        (1001, "BHD", "1.001 BHD"),
        (1, "CLF", "0.0001 CLF"),
        (BIGINT_MAX, "EUR", "92,233,720,368,547,758.07 EUR"),
        (-BIGINT_MAX, "JPY", "-9,223,372,036,854,775,807 JPY"),
    ],
)
def test_an_amount_is_shown_exactly(amount_minor: int, currency: str, shown: str) -> None:
    assert format_minor(amount_minor, currency) == shown


@given(st.integers(-BIGINT_MAX, BIGINT_MAX), st.sampled_from(sorted(CURRENCIES)))
def test_what_is_shown_is_what_is_there(amount_minor: int, currency: str) -> None:
    number, _, name = format_minor(amount_minor, currency).partition(" ")
    assert name == currency
    assert int(Decimal(number.replace(",", "")).scaleb(exponent(currency))) == amount_minor
