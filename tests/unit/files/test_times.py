"""Times as people's files write them. A zone that a row names is resolved or refused, and never thrown away."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from worker.files.errors import Refused
from worker.files.times import Ambiguous, time_form, time_reader

ISTANBUL, AMSTERDAM, LOS_ANGELES = map(
    ZoneInfo, ("Europe/Istanbul", "Europe/Amsterdam", "America/Los_Angeles")
)
NAMED = "%Y-%m-%d %H:%M:%S %Z"


def at(
    value: str, form: str = NAMED, zone: ZoneInfo | None = ISTANBUL, ambiguous: Ambiguous = "refuse"
) -> datetime:
    return time_reader(time_form(form), zone, ambiguous)(value, "the time")


def code(value: str, form: str = NAMED, zone: ZoneInfo | None = ISTANBUL) -> str:
    with pytest.raises(Refused) as raised:
        at(value, form, zone)
    return raised.value.code


@pytest.mark.parametrize("zone", [ISTANBUL, LOS_ANGELES, None])
@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("UTC", "2026-07-01T00:30:00+00:00"), ("GMT", "2026-07-01T00:30:00+00:00"),
        ("PDT", "2026-07-01T00:30:00-07:00"), ("CEST", "2026-07-01T00:30:00+02:00"),
        ("utc", "2026-07-01T00:30:00+00:00"), ("Z", "2026-07-01T00:30:00+00:00"),
        ("UTC+3", "2026-07-01T00:30:00+03:00"), ("GMT-05:30", "2026-07-01T00:30:00-05:30"),
        ("+03", "2026-07-01T00:30:00+03:00"), ("-0700", "2026-07-01T00:30:00-07:00"),
        ("Europe/Paris", "2026-07-01T00:30:00+02:00"), ("America/Argentina/Buenos_Aires", "2026-07-01T00:30:00-03:00"),
        ("Etc/GMT+3", "2026-07-01T00:30:00-03:00"), ("TRT", "2026-07-01T00:30:00+03:00"),
    ],
)  # fmt: skip
def test_the_zone_of_a_row_is_its_zone_and_not_the_file_s(
    zone: ZoneInfo | None, label: str, expected: str
) -> None:
    assert at(f"2026-07-01 00:30:00 {label}", zone=zone) == datetime.fromisoformat(expected)


@pytest.mark.parametrize("label", ["IST", "CST", "AST", "XYZ", "Europe/Nowhere", "Mars", "UTC+99", "PDT+1"])
def test_a_zone_that_is_none_or_several_is_refused(label: str) -> None:
    assert code(f"2026-07-01 00:30:00 {label}") in ("unknown_zone", "bad_time")


@pytest.mark.parametrize(
    ("label", "zone", "expected"),
    [
        ("IST", "Asia/Kolkata", "2026-07-01T00:30:00+05:30"), ("IST", "Europe/Dublin", "2026-07-01T00:30:00+01:00"),
        ("CST", "Asia/Shanghai", "2026-07-01T00:30:00+08:00"), ("PST", "Asia/Manila", "2026-07-01T00:30:00+08:00"),
        ("CDT", "America/Chicago", "2026-07-01T00:30:00-05:00"),
    ],
)  # fmt: skip
def test_an_abbreviation_of_several_zones_is_the_account_s_own(label: str, zone: str, expected: str) -> None:
    assert at(f"2026-07-01 00:30:00 {label}", zone=ZoneInfo(zone)) == datetime.fromisoformat(expected)


def test_the_name_says_which_of_two_equal_hours_it_is() -> None:
    first, second = (at(f"2026-10-25 02:30:00 {label}", zone=AMSTERDAM) for label in ("CEST", "CET"))
    assert (first.hour, second.hour) == (0, 1)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("20 Nov 2026 11:46 PM PST", "%d %b %Y %I:%M %p %Z"), ("PST 2026-11-20 23:46", "%Z %Y-%m-%d %H:%M"),
        ("11/20/2026 23:46:00 PST", "%m/%d/%Y %H:%M:%S %Z"), ("Fri 20.11.26 23.46 (PST)", "%a %d.%m.%y %H.%M (%Z)"),
        ("20261120T234600PST", "%Y%m%dT%H%M%S%Z"), ("2026-11-20 23:46%Z PST", "%Y-%m-%d %H:%M%%Z %Z"),
        ("2026-11-20 23:46 -0800", "%Y-%m-%d %H:%M %z"), ("2026-11-20 23:46 -08:00", "%Y-%m-%d %H:%M %z"),
    ],
)  # fmt: skip
def test_the_zone_may_stand_anywhere_in_the_form(value: str, form: str) -> None:
    assert at(value, form) == datetime(2026, 11, 21, 7, 46, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", ["2026-07-01 00:30:00", "2026-07-01 00:30:00 ", "2026-07-01 00:30:00 UTC UTC"]
)
def test_a_form_with_a_zone_wants_one_zone(value: str) -> None:
    assert code(value) == "bad_time"


@pytest.mark.parametrize(
    "form", ["%d.%m.%Y %H:%M %Z %Z", "%d.%m.%Y %H:%M %z %Z", "%d.%m.%Y %I:%M", "%H:%M %Z", "%Z"]
)
def test_a_form_that_leaves_something_open_is_refused(form: str) -> None:
    with pytest.raises(ValueError, match="time_format"):
        time_form(form)


def test_an_hour_of_twelve_needs_its_half_of_the_day() -> None:
    assert at("20.11.2026 11:46 PM", "%d.%m.%Y %I:%M %p") == datetime(2026, 11, 20, 20, 46, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "form"), [("2026-04-24", "iso"), ("20260424", "iso"), ("24/04/2026", "%d/%m/%Y")]
)
def test_a_date_alone_is_the_beginning_of_its_day_also_where_midnight_never_was(
    value: str, form: str
) -> None:
    assert at(value, form, ZoneInfo("Africa/Cairo")) == datetime(2026, 4, 23, 22, tzinfo=UTC)


def test_a_date_alone_is_the_beginning_of_its_day_also_where_midnight_was_twice() -> None:
    havana = ZoneInfo("America/Havana")
    assert at("01.11.2026", "%d.%m.%Y", havana, "later") == datetime(2026, 11, 1, 4, tzinfo=UTC)
    assert at("2026-11-01", "iso", havana) == datetime(2026, 11, 1, 4, tzinfo=UTC)


def test_a_midnight_that_is_written_out_is_a_time_like_any() -> None:
    assert code("24/04/2026 00:00", "%d/%m/%Y %H:%M", ZoneInfo("Africa/Cairo")) == "no_such_time"
    assert code("2026-04-24T00:00", "iso", ZoneInfo("Africa/Cairo")) == "no_such_time"
