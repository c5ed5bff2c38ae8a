"""JSON lines: the same rules, and numbers as they are written."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.backfills.sources.legacy import bad, everything, posting, source, told, with_columns, written

GOOD: dict[str, Any] = {
    "id": "1",
    "owner": "p1",
    "amount": "1.00",
    "currency": "EUR",
    "at": "2024-01-01T00:00:00Z",
}


def row_of(folder: Path, line: str, **mapping: Any) -> Any:
    (row,) = everything(source(written(folder, line.encode()), told(**mapping), format_="jsonl"))
    return row


def one(folder: Path, **fields: Any) -> Any:
    return row_of(folder, json.dumps(GOOD | fields))


def test_a_record_is_a_line(tmp_path: Path) -> None:
    row = posting(one(tmp_path, extra={"a": [1, None]}))
    assert (row.place, row.line, row.row_id, row.amount_minor) == ("1", 1, "1", 100)
    assert json.loads(row.raw)["extra"] == {"a": [1, None]}


@pytest.mark.parametrize(
    ("amount", "minor"),
    [
        ("1", 100), ("1.5", 150), ("1.500", 150), ("-0.07", -7), ("92233720368547758.07", 2**63 - 1),
        ("0.1000000000000000000000000", 10), ('"1.50"', 150),
    ],
)  # fmt: skip
def test_a_number_means_exactly_its_digits(tmp_path: Path, amount: str, minor: int) -> None:
    line = json.dumps(GOOD).replace('"1.00"', amount)
    assert posting(row_of(tmp_path, line)).amount_minor == minor


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        ("1e2", "bad_amount"), ("1E-2", "bad_amount"), ("1.005", "bad_amount"), ('"1.500"', "bad_amount"),
        ("9" * 30, "bad_amount"), ("9" * 9000, "bad_amount"), ("NaN", "not_json"), ("Infinity", "not_json"),
        ("1.", "not_json"), ("01", "not_json"), ("true", "bad_field"), ("[1]", "bad_field"), ("{}", "bad_field"),
        ("null", "no_amount"), ('""', "no_amount"), ("0.00", "zero_amount"), ("-0", "zero_amount"),
    ],
)  # fmt: skip
def test_what_is_no_exact_amount_is_refused(tmp_path: Path, amount: str, code: str) -> None:
    assert bad(row_of(tmp_path, json.dumps(GOOD).replace('"1.00"', amount))).code == code


def test_a_number_is_not_read_by_the_marks_of_texts(tmp_path: Path) -> None:
    marks: dict[str, Any] = {"decimal_mark": ",", "thousands_separator": "."}
    line = json.dumps(GOOD)
    assert posting(row_of(tmp_path, line.replace('"1.00"', "1.5"), **marks)).amount_minor == 150
    assert posting(row_of(tmp_path, line.replace('"1.00"', '"1.500,25"'), **marks)).amount_minor == 150_025


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{", "not_json"), ("[]", "not_json"), ("5", "not_json"), ('{"id": 1} {"id": 2}', "not_json"),
        ('{"id": "1", "id": "2"}', "not_json"), ("[" * 30_000, "not_json"), ("{'id': 1}", "not_json"),
        (json.dumps(GOOD | {"id": None}), "no_id"), (json.dumps(GOOD | {"id": " "}), "no_id"),
        (json.dumps({name: value for name, value in GOOD.items() if name != "id"}), "no_id"),
        (json.dumps(GOOD | {"id": 1.5}), "bad_number"), (json.dumps(GOOD).replace('"1"', "1e3"), "bad_number"),
        (json.dumps(GOOD | {"id": "\ud800"}), "bad_id"), (json.dumps(GOOD | {"id": "\x00"}), "bad_id"),
        (json.dumps(GOOD | {"owner": {"id": 1}}), "bad_field"), (json.dumps(GOOD | {"owner": "p 1"}), "bad_owner"),
        (json.dumps(GOOD | {"x": "y" * 70_000}), "too_long"),
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused(tmp_path: Path, line: str, code: str) -> None:
    assert bad(row_of(tmp_path, line)).code == code


def test_an_id_may_be_a_whole_number_and_is_plain_text_afterwards(tmp_path: Path) -> None:
    row = posting(one(tmp_path, id=12345678901234567890123))
    assert row.row_id == "12345678901234567890123"
    assert type(row.row_id) is str


def test_a_field_may_be_inside_others_and_a_name_with_a_dot_wins(tmp_path: Path) -> None:
    columns = with_columns(owner="who.id")
    inside = GOOD | {"who": {"id": "p7"}}
    assert posting(row_of(tmp_path, json.dumps(inside), columns=columns)).owner == "p7"
    assert posting(row_of(tmp_path, json.dumps(inside | {"who.id": "p8"}), columns=columns)).owner == "p8"
    assert bad(row_of(tmp_path, json.dumps(GOOD | {"who": "p7"}), columns=columns)).code == "no_owner"


def test_times_may_be_numbers(tmp_path: Path) -> None:
    row = posting(row_of(tmp_path, json.dumps(GOOD | {"at": 1704067200123}), time_format="epoch_ms"))
    assert row.occurred_at.isoformat() == "2024-01-01T00:00:00.123000+00:00"


def test_a_mark_and_blank_lines_are_no_records(tmp_path: Path) -> None:
    line = json.dumps(GOOD).encode()
    path = written(tmp_path, b"\xef\xbb\xbf" + line + b"\r\n\r\n  \n" + line)
    found = everything(source(path, format_="jsonl"), 1)
    assert [row.line for row in found] == [1, 4]


def test_an_empty_file_is_an_empty_source(tmp_path: Path) -> None:
    assert everything(source(written(tmp_path, b""), format_="jsonl")) == []
