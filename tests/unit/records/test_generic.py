"""Reports of any shape, by a column map."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models.money import BIGINT_MAX, CURRENCIES, exponent
from tests.unit.records.reports import EVER, columns, one_record, read
from worker.providers.records.columns import ColumnMap
from worker.providers.records.port import BadRow, Record, SourceFailed
from worker.providers.records.registry import file_source

AT = "2026-11-20T10:00:00Z"
ROW = {"id": "r1", "at": AT, "amount": "1250", "ccy": "EUR"}


def read_csv(folder: Path, told: ColumnMap, *rows: dict[str, str]) -> list[Record | BadRow]:
    path, mark = folder / "rows.csv", told.delimiter
    names = list(rows[0])
    path.write_text("\n".join([mark.join(names), *(mark.join(row[n] for n in names) for row in rows)]))
    return read("csv", path, told)


def read_jsonl(folder: Path, told: ColumnMap, *lines: str) -> list[Record | BadRow]:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return read("jsonl", path, told)


def test_the_smallest_map(tmp_path: Path) -> None:
    assert one_record(read_csv(tmp_path, columns(), ROW)) == Record(
        "r1", "other", None, None, 1250, "EUR", 0, "EUR", "", datetime(2026, 11, 20, 10, tzinfo=UTC), 2
    )


def test_the_whole_map(tmp_path: Path) -> None:
    told = columns(
        kind="what", kinds={"CAPTURE": "deposit"}, reference="ref", object_id="obj", fee="cost",
        fee_currency="cost_ccy", status="state", unit="major", time_format="%d.%m.%Y %H:%M", delimiter=";",
        decimal_mark=",",
    )  # fmt: skip
    row = ROW | {
        "what": "CAPTURE",
        "ref": "order-1",
        "obj": "p1",
        "cost": "3",
        "cost_ccy": "JPY",
        "state": "done",
    }
    found = one_record(read_csv(tmp_path, told, row | {"amount": "12,50", "at": "25.10.2026 02:30"}))
    assert found == Record(
        "r1", "deposit", "order-1", "p1", 1250, "EUR", 3, "JPY", "done", datetime(2026, 10, 25, 0, 30, tzinfo=UTC), 2
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "status", "amount_minor"),
    [
        ("deposit", "done", 1250),
        ("refund", "done", -1250),
        ("chargeback", "done", -1250),
        ("payout", "done", -1250),
        ("fee", "done", -1250),
        ("gift", "done", 1250),
        ("payout", "back", 1250),
        ("chargeback", "back", 1250),
        ("deposit", "back", -1250),
    ],
)
def test_the_kind_says_the_sign(tmp_path: Path, kind: str, status: str, amount_minor: int) -> None:
    kinds = {name: name for name in ("deposit", "refund", "chargeback", "payout", "fee")}
    told = columns(kind="kind", kinds=kinds, status="state", sign="by_kind", came_back=["back"])
    record = one_record(read_csv(tmp_path, told, ROW | {"kind": kind, "state": status}))
    assert (record.amount_minor, record.kind) == (amount_minor, kinds.get(kind, "other"))


@pytest.mark.parametrize(
    ("is_bank", "status", "amount_minor"),
    [(False, "done", -1250), (False, "back", 1250), (True, "done", 1250), (True, "back", -1250)],
)
def test_an_own_transfer_leaves_the_provider_and_arrives_at_the_bank(
    tmp_path: Path, is_bank: bool, status: str, amount_minor: int
) -> None:
    told = columns(
        kind="kind", kinds={"PAYOUT": "own_transfer"}, status="state", sign="by_kind", came_back=["back"]
    )
    row = ROW | {"kind": "PAYOUT", "state": status}
    path = tmp_path / "report.csv"
    path.write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    [found] = file_source("csv", path, told, ZoneInfo("UTC"), is_bank=is_bank).read(EVER)
    assert isinstance(found, Record)
    assert (found.amount_minor, found.kind) == (amount_minor, "own_transfer")


@pytest.mark.parametrize(
    ("credit", "debit", "expected"),
    [
        ("1250", "", 1250),
        ("", "1250", -1250),
        ("0", "1250", -1250),
        ("0", "0", 0),
        ("", "", "credit and debit are both empty"),
        ("1", "1", "one must be empty or 0"),
        ("-1", "", "the credit or the debit has the wrong sign"),
    ],
)
def test_credit_and_debit(tmp_path: Path, credit: str, debit: str, expected: int | str) -> None:
    told = columns(amount=None, credit="plus", debit="minus")
    (found,) = read_csv(tmp_path, told, ROW | {"plus": credit, "minus": debit})
    if isinstance(found, Record):
        assert found.amount_minor == expected
    else:
        assert str(expected) in found.reason


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"id": ""}, "the record's id is empty"),
        ({"at": ""}, "the time is empty"),
        ({"at": "yesterday"}, "the time is not an ISO 8601 time"),
        ({"at": "0001-01-01T00:00:00+23:59"}, "the time is not an ISO 8601 time"),
        ({"amount": ""}, "the amount is empty"),
        ({"amount": "12.50"}, "the amount has more than 0 digits"),
        ({"amount": "١٢"}, "the amount is not a plain decimal number"),
        ({"amount": "9" * 30}, "the amount is not a plain decimal number"),
        ({"amount": str(BIGINT_MAX + 1)}, "the amount is larger than BIGINT"),
        ({"ccy": ""}, "the currency is empty"),
        ({"ccy": "EURO"}, "the currency is not a code"),
    ],
)
def test_a_cell_that_is_not_what_its_column_promises(
    tmp_path: Path, changed: dict[str, str], reason: str
) -> None:
    good, bad = read_csv(tmp_path, columns(), ROW, ROW | changed)
    assert isinstance(good, Record)
    assert isinstance(bad, BadRow)
    assert reason in bad.reason


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match="the header lacks ref"):
        read_csv(tmp_path, columns(reference="ref"), ROW)


def test_json_lines_and_names_inside_names(tmp_path: Path) -> None:
    told = columns(
        record_id="data.id", amount="data.money.value", unit="major", time_format="epoch", fee="fee"
    )
    line = '{"data": {"id": 7, "money": {"value": 0.10}}, "at": 1795168800, "ccy": "EUR", "fee": null, "more": [1.5]}'
    record = one_record(read_jsonl(tmp_path, told, line))
    assert (record.record_id, record.amount_minor, record.fee_minor) == ("7", 10, 0)
    assert record.occurred_at == datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "line",
    [
        "{", "[]", "1", '"x"', "NaN", '{"amount": NaN}', '{"id": "r1", "id": "r2"}', "[" * 50_000,
        json.dumps(ROW | {"amount": [1]}), json.dumps(ROW | {"amount": True}), json.dumps(ROW | {"id": {"a": 1}}),
        json.dumps(ROW | {"id": "\ud800"}), json.dumps(ROW | {"id": "a\x00b"}),
        json.dumps(ROW).replace('"1250"', "1.25e3"), json.dumps(ROW).replace('"1250"', "9" * 5000),
        json.dumps(ROW).replace('"1250"', "1e999999999"), json.dumps({"id": "r1"}),
    ],
)  # fmt: skip
def test_a_line_that_is_not_understood(tmp_path: Path, line: str) -> None:
    good, bad = read_jsonl(tmp_path, columns(), json.dumps(ROW), line)
    assert isinstance(good, Record)
    assert isinstance(bad, BadRow)
    assert bad.line == 2


MONEY = st.tuples(st.integers(-BIGINT_MAX, BIGINT_MAX), st.sampled_from(sorted(CURRENCIES)))


def written(amount_minor: int, currency: str, mark: str) -> str:
    places = exponent(currency)
    digits = str(abs(amount_minor)).zfill(places + 1)
    sign = "-" if amount_minor < 0 else ""
    return f"{sign}{digits[: len(digits) - places]}{mark if places else ''}{digits[len(digits) - places :]}"


@settings(max_examples=200, deadline=None)
@given(money=MONEY, unit=st.sampled_from(["minor", "major"]), mark=st.sampled_from([".", ","]))
def test_every_amount_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, money: tuple[int, str], unit: str, mark: str
) -> None:
    amount_minor, currency = money
    text = written(amount_minor, currency, mark) if unit == "major" else str(amount_minor)
    told = columns(unit=unit, decimal_mark=mark, delimiter=";")
    folder = tmp_path_factory.mktemp("money", numbered=True)
    record = one_record(read_csv(folder, told, ROW | {"amount": text, "ccy": currency}))
    assert (record.amount_minor, record.currency) == (amount_minor, currency)
    if mark == ".":
        line = json.dumps(ROW | {"ccy": currency}).replace('"1250"', text)
        assert one_record(read_jsonl(folder, columns(unit=unit), line)).amount_minor == amount_minor


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"amount": None}, "set either amount, or both credit and debit"),
        ({"amount": None, "credit": "a"}, "set either amount, or both credit and debit"),
        ({"credit": "a", "debit": "b"}, "set either amount, or both credit and debit"),
        ({"amount": None, "credit": "a", "debit": "b", "sign": "by_kind"}, "leave sign = 'signed'"),
        ({"currency": None}, "set either currency, a column, or currency_always"),
        ({"currency_always": "EUR"}, "set either currency, a column, or currency_always"),
        ({"fee_currency": "f"}, "fee_currency needs the column fee"),
        ({"kinds": {"a": "fee"}}, "kinds the column kind"),
        ({"came_back": ["x"]}, "came_back needs sign = 'by_kind' and the column status"),
        ({"time_format": "%H:%M"}, "time_format is iso, epoch, or a form of strptime"),
        ({"time_format": "%Y-%m-%d %Y"}, "time_format is iso, epoch, or a form of strptime"),
        ({"time_format": "%Q"}, "time_format is iso, epoch, or a form of strptime"),
        ({"time_format": ""}, "time_format is iso, epoch, or a form of strptime"),
        ({"delimiter": "x"}, "Input should be"),
        ({"colour": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_a_map_that_makes_no_sense_is_refused(told: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        columns(**told)
