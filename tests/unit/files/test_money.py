"""Amounts as people's files write them: exactly, or refused with a sentence."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.files.errors import Unreadable
from worker.files.layout import Layout
from worker.files.money import money_reader

GERMAN: dict[str, Any] = {"decimal_mark": ",", "thousands_separator": "."}
AMERICAN: dict[str, Any] = {"thousands_separator": ","}
FRENCH: dict[str, Any] = {"decimal_mark": ",", "thousands_separator": " "}
SWISS: dict[str, Any] = {"thousands_separator": "'"}


def minor(value: str, currency: str = "EUR", **layout: Any) -> int:
    return money_reader(Layout(unit="major", **layout))(value, currency, "the amount")


def refused(value: str, currency: str = "EUR", **layout: Any) -> str:
    with pytest.raises(Unreadable) as raised:
        minor(value, currency, **layout)
    return str(raised.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("12.50", 1250), ("+12.50", 1250), ("-12.50", -1250), ("\u221212.50", -1250), ("(12.50)", -1250),
        ("12.50-", -1250), ("12.50\u2212", -1250), ("12.50+", 1250), ("- 12.50", -1250), ("-\u00a012.50", -1250),
        ("( 12.50 )", -1250), ("(\u20ac12.50)", -1250), ("\u20ac(12.50)", -1250), ("(12.50) EUR", -1250),
        ("\u20ac 12.50", 1250), ("\u20ac12.50", 1250), ("12.50\u20ac", 1250), ("12.50\u00a0\u20ac", 1250),
        ("12.50\u202f\u20ac", 1250), ("-\u20ac12.50", -1250), ("\u20ac-12.50", -1250), ("\u20ac 12.50-", -1250),
        ("12.50- \u20ac", -1250), ("12.50 \u20ac-", -1250), ("EUR 12.50", 1250), ("EUR12.50", 1250),
        ("12.50 eur", 1250), ("EUR -12.50", -1250), ("0", 0), ("-0.00", 0), ("(0.00)", 0),
    ],
)  # fmt: skip
def test_a_sign_stands_where_people_put_it(value: str, expected: int) -> None:
    assert minor(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "--12.50", "-12.50-", "(-12.50)", "(12.50)-", "+-12.50", "(+12.50)", "-(12.50)", "((12.50))", "(12.50",
        "12.50)",
        "()", "-", "\u20ac", "\u20ac12.50\u20ac", "EUR 12.50 \u20ac", "EUR (\u20ac12.50)", "$12.50", "USD 12.50",
        "\u00a312.50", "12.50 kr", "12.50 CR", "12.50 DR", "1\u202f2.50", "12 .50", "12. 50", "1e3", "12.50x", "x12.50",
        "\uff11\uff12", "\u0661\u0662", "\u0661\u06622.50", "\u201312.50", "12,50", "1,250.00", "", " ", "EUR",
        "(" + " " * 60_000 + "x", "$" * 60_000, "1" * 60_000,
    ],
)  # fmt: skip
def test_what_may_mean_something_else_is_refused(value: str) -> None:
    assert refused(value).startswith("the amount ")


@pytest.mark.parametrize(
    ("value", "currency", "layout", "expected"),
    [
        ("\u20ac 1.234,56", "EUR", GERMAN, 123_456), ("1.234,56-", "EUR", GERMAN, -123_456),
        ("$12.00", "USD", {}, 1200), ("$1,653.75", "USD", AMERICAN, 165_375), ("US$ 5", "USD", {}, 500),
        ("($1,653.75)", "USD", AMERICAN, -165_375), ("$(1,653.75)", "USD", AMERICAN, -165_375),
        ("$5.00", "CAD", {}, 500), ("CA$5.00", "CAD", {}, 500), ("\u00a35.00", "GBP", {}, 500),
        ("\u00a51200", "JPY", {}, 1200), ("\u20ba 1.250,50", "TRY", GERMAN, 125_050), ("5 TL", "TRY", {}, 500),
        ("1 234,56", "EUR", FRENCH, 123_456), ("1\u00a0234,56", "EUR", FRENCH, 123_456),
        ("1\u202f234\u202f567,89 \u20ac", "EUR", FRENCH, 123_456_789),
        ("1'234.50", "CHF", SWISS, 123_450), ("1\u2019234.50 CHF", "CHF", SWISS, 123_450),
        ("+1500,75", "EUR", {"decimal_mark": ","}, 150_075),
    ],
)  # fmt: skip
def test_thousands_marks_and_currencies_of_many_countries(
    value: str, currency: str, layout: dict[str, Any], expected: int
) -> None:
    assert minor(value, currency, **layout) == expected


@pytest.mark.parametrize(
    ("value", "currency", "layout"),
    [
        ("1.234,56", "EUR", AMERICAN), ("1,234.56", "EUR", GERMAN), ("12,34,567.00", "INR", AMERICAN),
        ("1,23", "EUR", AMERICAN), ("1,2345.00", "EUR", AMERICAN), ("1 234.50", "EUR", AMERICAN),
        ("CA$5.00", "USD", {}), ("R$5.00", "USD", {}), ("\u20ac5.00", "USD", {}), ("usd5.00", "EUR", {}),
        ("\u20bf5.00", "EUR", {}),
    ],
)  # fmt: skip
def test_other_marks_and_other_currencies_than_the_row_s_are_refused(
    value: str, currency: str, layout: dict[str, Any]
) -> None:
    assert refused(value, currency, **layout)


@pytest.mark.parametrize(
    ("value", "currency", "expected"),
    [
        ("12.5000", "EUR", 1250), ("12.500000", "EUR", 1250), ("0.500", "EUR", 50), ("0.000", "EUR", 0),
        ("1234.500", "EUR", 123_450), ("1200.00", "JPY", 1200), ("1200.0", "JPY", 1200), ("1200.000", "JPY", 1200),
        ("1.2340", "BHD", 1234), ("1.234", "BHD", 1234), ("-12.5000", "EUR", -1250), ("12.50000000", "EUR", 1250),
    ],
)  # fmt: skip
def test_zeros_beyond_the_exponent_say_nothing(value: str, currency: str, expected: int) -> None:
    assert minor(value, currency) == expected


@pytest.mark.parametrize(
    ("value", "currency"), [("1.000", "EUR"), ("12.500", "EUR"), ("999.000", "EUR"), ("1.000", "JPY")]
)
def test_zeros_that_may_be_thousands_are_refused_until_thousands_are_told(value: str, currency: str) -> None:
    """1.000 EUR is a thousand where the file is German, and one where it is a database's decimal(18,3)."""
    assert "may be thousands: set thousands_separator" in refused(value, currency)
    assert minor(value, currency, **AMERICAN) == int(float(value)) * (100 if currency == "EUR" else 1) + (
        50 if value == "12.500" else 0
    )


@pytest.mark.parametrize(
    ("value", "currency"),
    [("1.005", "EUR"), ("12.5001", "EUR"), ("0.005", "EUR"), ("1.5", "JPY"), ("1200.01", "JPY")],
)
def test_a_part_of_a_minor_unit_is_refused_always(value: str, currency: str) -> None:
    for layout in ({}, AMERICAN):
        assert "digits after the decimal mark" in refused(value, currency, **layout)


@pytest.mark.parametrize("value", ["12.00", "12.0", "\u20ac12.00", "(12.00)"])
def test_minor_units_have_no_decimals_not_even_zeros(value: str) -> None:
    with pytest.raises(Unreadable, match="is it in major units"):
        money_reader(Layout(unit="minor"))(value, "EUR", "the amount")


DECORATIONS = st.sampled_from(
    ["{}", "+{}", "\u20ac{}", "\u20ac {}", "{} \u20ac", "EUR {}", "{}EUR", "+{} \u20ac", "\u20ac +{}", "{}+"]
)
MINUSES = st.sampled_from(
    [
        "-{}",
        "\u2212{}",
        "({})",
        "{}-",
        "-\u20ac{}",
        "\u20ac-{}",
        "(\u20ac{})",
        "\u20ac({})",
        "{}- EUR",
        "{} EUR-",
        "({}) \u20ac",
    ]
)


@given(
    amount=st.integers(0, 2**63 - 1),
    dress=DECORATIONS,
    minus=MINUSES,
    layout=st.sampled_from([GERMAN, AMERICAN, FRENCH]),
)
def test_every_amount_comes_back_out_of_every_dress(
    amount: int, dress: str, minus: str, layout: dict[str, Any]
) -> None:
    whole = f"{amount // 100:,}".replace(",", layout["thousands_separator"])
    text = f"{whole}{layout.get('decimal_mark', '.')}{amount % 100:02}"
    assert minor(dress.format(text), **layout) == amount
    assert minor(minus.format(text), **layout) == -amount
