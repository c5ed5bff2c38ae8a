"""Amounts and times of every writing: exactly, or refused with a code."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.backfills.sources.legacy import told
from worker.files.cells import Number
from worker.files.errors import Refused
from worker.files.times import Stamp
from worker.sources import cells
from worker.sources.mapping import LegacyMapping, legacy_mapping

EPOCH = datetime.fromisoformat("2000-01-01T00:00:00")


def mapping(**more: Any) -> LegacyMapping:
    return legacy_mapping(told(**more), "postings")


def minor(value: str, currency: str = "EUR", **more: Any) -> int:
    return cells.money_reader(mapping(**more))(value, currency, "the amount, a,")


def at(value: str, **more: Any) -> datetime:
    return cells.time_reader(mapping(**more))(value, "at")


def code_of(read: Any, *args: Any, **more: Any) -> str:
    with pytest.raises(Refused) as raised:
        read(*args, **more)
    return raised.value.code


@pytest.mark.parametrize(
    ("value", "currency", "more", "expected"),
    [
        ("1", "EUR", {}, 100), ("1.5", "EUR", {}, 150), ("+1.50", "EUR", {}, 150), ("-1.50", "EUR", {}, -150),
        ("7", "JPY", {}, 7), ("7.001", "BHD", {}, 7001), ("007", "EUR", {}, 700),
        ("150", "EUR", {"unit": "minor"}, 150), ("-150", "JPY", {"unit": "minor"}, -150),
        ("1,50", "EUR", {"decimal_mark": ","}, 150),
        ("1.234.567,89", "EUR", {"decimal_mark": ",", "thousands_separator": "."}, 123_456_789),
        ("-1'234.5", "EUR", {"thousands_separator": "'"}, -123_450),
        ("1\u00a0234", "EUR", {"thousands_separator": "\u00a0"}, 123_400),
        ("1234", "EUR", {"thousands_separator": ","}, 123_400), ("1,234", "EUR", {"thousands_separator": ","}, 123_400),
        ("1,234", "EUR", {"thousands_separator": ",", "unit": "minor"}, 1234),
    ],
)  # fmt: skip
def test_amounts_are_read_as_the_mapping_says(value: str, currency: str, more: Any, expected: int) -> None:
    assert minor(value, currency, **more) == expected


@pytest.mark.parametrize(
    ("value", "currency", "more"),
    [
        ("1.5", "JPY", {}), ("1.00", "EUR", {"unit": "minor"}), ("1,50", "EUR", {}),
        ("1.50", "EUR", {"decimal_mark": ","}),
        (".5", "EUR", {}), ("5.", "EUR", {}), ("1 000", "EUR", {}), ("0x10", "EUR", {}), ("1_000", "EUR", {}),
        ("--1", "EUR", {}), ("1e2", "EUR", {}), ("inf", "EUR", {}), ("1.000", "EUR", {}), ("1\n", "EUR", {}),
        ("1234,567", "EUR", {"thousands_separator": ","}), (",123", "EUR", {"thousands_separator": ","}),
        ("1,,234", "EUR", {"thousands_separator": ","}), ("1,234,", "EUR", {"thousands_separator": ","}),
        ("1,234.", "EUR", {"thousands_separator": ","}), ("1.234,5", "EUR", {"thousands_separator": ","}),
        ("12.34.567", "EUR", {"decimal_mark": ",", "thousands_separator": "."}),
        ("1.23", "EUR", {"decimal_mark": ",", "thousands_separator": "."}),
        (str(2**63), "EUR", {"unit": "minor"}), ("-" + str(2**63), "EUR", {"unit": "minor"}), ("\u0967", "EUR", {}),
    ],
)  # fmt: skip
def test_no_other_amount_is_guessed(value: str, currency: str, more: Any) -> None:
    assert code_of(minor, value, currency, **more) == "bad_amount"


def test_a_number_by_its_type_is_not_remembered_as_a_text() -> None:
    read = cells.money_reader(mapping(unit="major"))
    assert read(Number("1.000"), "EUR", "a") == 100
    assert code_of(read, "1.000", "EUR", "a") == "bad_amount"
    assert code_of(read, Number("1.001"), "EUR", "a") == "bad_amount"
    assert code_of(read, Number("NaN"), "EUR", "a") == "bad_amount"


@pytest.mark.parametrize("value", ["12.00", "5.0", "1.5"])
@pytest.mark.parametrize("kind", [str, Number])
def test_minor_units_have_no_decimals_not_even_zeros(kind: type[str], value: str) -> None:
    """A column of a type with decimals holds major units, most likely: 12.00 is not 12 cents."""
    read = cells.money_reader(mapping(unit="minor"))
    assert code_of(read, kind(value), "EUR", "a") == "bad_amount"


@given(st.integers(-(2**63) + 1, 2**63 - 1), st.sampled_from(["EUR", "JPY", "BHD"]), st.booleans())
def test_every_amount_that_is_written_is_read_back(amount: int, currency: str, grouped: bool) -> None:
    places = {"EUR": 2, "JPY": 0, "BHD": 3}[currency]
    whole, part = divmod(abs(amount), 10**places)
    text = (
        f"{'-' if amount < 0 else ''}{whole:{',' if grouped else ''}}{f'.{part:0{places}}' if places else ''}"
    )
    assert minor(text, currency, thousands_separator=",") == amount


@pytest.mark.parametrize(
    ("value", "more", "expected"),
    [
        ("2024-01-01T00:00:00Z", {}, "2024-01-01T00:00:00"), ("2024-01-01 03:00:00+03", {}, "2024-01-01T00:00:00"),
        ("2024-01-01T00:00:00.123456-05:30", {}, "2024-01-01T05:30:00.123456"),
        ("20240101T000000Z", {}, "2024-01-01T00:00:00"),
        ("2024-01-01T10:00:00.1234567Z", {}, "2024-01-01T10:00:00.123456"),
        ("2024-01-01T00:00Z", {}, "2024-01-01T00:00:00"),
        ("2024-01-01", {"timezone": "Europe/Istanbul"}, "2023-12-31T21:00:00"),
        ("01.02.2024 12:00", {"time_format": "%d.%m.%Y %H:%M", "timezone": "UTC"}, "2024-02-01T12:00:00"),
        ("01/02/2024 +0300", {"time_format": "%d/%m/%Y %z"}, "2024-01-31T21:00:00"),
        ("1704067200", {"time_format": "epoch"}, "2024-01-01T00:00:00"),
        ("-1", {"time_format": "epoch"}, "1969-12-31T23:59:59"),
        ("-1", {"time_format": "epoch_ms"}, "1969-12-31T23:59:59.999"),
    ],
)  # fmt: skip
def test_times_are_read_as_the_mapping_says(value: str, more: Any, expected: str) -> None:
    assert at(value, **more) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "more", "code"),
    [
        ("", {}, "no_time"), ("2024-01-01", {}, "no_zone"), ("2024-01-01T10:00:00", {}, "no_zone"),
        ("01.02.2024", {"time_format": "%d.%m.%Y"}, "no_zone"), ("2024-13-01", {}, "bad_time"),
        ("2024-01-01T10:00:00.1234567890Z", {}, "bad_time"),
        ("2024-W01-1", {}, "bad_time"), ("24-01-01", {}, "bad_time"),
        ("2024-01-01x10:00:00Z", {}, "bad_time"), ("infinity", {}, "bad_time"), ("0044-03-15 BC", {}, "bad_time"),
        ("2024-01-01T10:00:60Z", {}, "bad_time"), ("9999-12-31T23:59:59-05:00", {}, "bad_time"),
        ("2024-01-01T10:00:00 Europe/Paris", {}, "bad_time"), ("1.5", {"time_format": "epoch"}, "bad_time"),
        ("1704067200000", {"time_format": "epoch"}, "bad_time"), ("9" * 19, {"time_format": "epoch_ms"}, "bad_time"),
        ("\u0661\u0667\u0660\u0664", {"time_format": "epoch"}, "bad_time"),
        ("01.02.\u0662\u0660\u0662\u0664", {"time_format": "%d.%m.%Y", "timezone": "UTC"}, "bad_time"),
        ("2024-02-01", {"time_format": "%d.%m.%Y", "timezone": "UTC"}, "bad_time"),
    ],
)  # fmt: skip
def test_no_other_time_is_guessed(value: str, more: Any, code: str) -> None:
    assert code_of(at, value, **more) == code


@pytest.mark.parametrize(("ambiguous", "hour"), [("earlier", 0), ("later", 1)])
def test_an_hour_that_was_twice_is_the_one_that_was_told(ambiguous: str, hour: int) -> None:
    found = at("2024-10-27 02:30:00", timezone="Europe/Amsterdam", ambiguous=ambiguous)
    assert found == datetime(2024, 10, 27, hour, 30, tzinfo=UTC)


def test_an_hour_that_was_twice_is_refused_unless_it_is_told() -> None:
    assert code_of(at, "2024-10-27 02:30:00", timezone="Europe/Amsterdam") == "ambiguous_time"
    assert at("2024-10-27 02:30:00+02:00", timezone="Europe/Amsterdam").hour == 0


@pytest.mark.parametrize("ambiguous", ["refuse", "earlier", "later"])
def test_an_hour_that_never_was_is_refused_always(ambiguous: str) -> None:
    assert (
        code_of(at, "2024-03-31 02:30:00", timezone="Europe/Amsterdam", ambiguous=ambiguous) == "no_such_time"
    )


@given(
    st.integers(0, 30 * 366 * 24 * 3600).map(lambda seconds: EPOCH + timedelta(seconds=seconds)),
    st.sampled_from(["Europe/Amsterdam", "America/Lima"]),
)
def test_a_local_time_is_the_moment_whose_clock_shows_it(local: datetime, zone: str) -> None:
    found = {}
    for ambiguous in ("earlier", "later"):
        told_zone = mapping(timezone=zone, ambiguous=ambiguous)
        try:
            found[ambiguous] = cells.time_reader(told_zone)(local.isoformat(), "at")
        except Refused as refused:
            if refused.code != "no_such_time":
                raise
            return
        assert told_zone.zone is not None
        assert found[ambiguous].astimezone(told_zone.zone).replace(tzinfo=None, fold=0) == local
    assert timedelta() <= found["later"] - found["earlier"] <= timedelta(hours=1)


def test_a_time_by_its_type_is_iso_whatever_the_form() -> None:
    for form in ("epoch", "%d.%m.%Y"):
        assert at(Stamp("2024-01-01 00:00:00+00"), time_format=form) == datetime(2024, 1, 1, tzinfo=UTC)


def test_a_time_by_its_type_is_not_remembered_as_a_text() -> None:
    read = cells.time_reader(mapping(time_format="%d.%m.%Y", timezone="UTC"))
    assert read(Stamp("2024-01-01"), "at") == datetime(2024, 1, 1, tzinfo=UTC)
    assert code_of(read, "2024-01-01", "at") == "bad_time"
