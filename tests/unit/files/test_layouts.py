"""Files as banks and providers export them, each read by both: by a night and by a backfill."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.unit.files.reading import BOTH, By, bad, good, ids, read
from worker.files.errors import SourceFailed

by_both = pytest.mark.parametrize("by", BOTH)


def written(folder: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path = folder / "export.csv"
    path.write_bytes("\n".join((*lines, "")).encode(encoding))
    return path


def owned(by: By, columns: dict[str, Any], owner: str) -> dict[str, Any]:
    return columns | ({"owner": owner} if by == "backfill" else {})


STRIPE = (
    '"balance_transaction_id","created_utc","available_on_utc","currency","gross","fee","net","category"',
    '"txn_1","2026-11-23 08:26:29","2026-11-27 00:00:00","usd","12.00","0.50","11.50","charge"',
    '"txn_2","2026-11-23 08:26:31","2026-11-27 00:00:00","eur","-0.77","0.00","-0.77","refund"',
    '"txn_3","2026-11-23 08:26:31","2026-11-27 00:00:00","jpy","1200.00","0.00","1200.00","charge"',
    '"txn_4","2026-11-23 08:26:31","2026-11-27 00:00:00","Eur","1.00","0.00","1.00","charge"',
    '"txn_5","2026-11-23 08:26:31","2026-11-27 00:00:00","xyz","1.00","0.00","1.00","charge"',
    '"txn_6","2026-11-23 08:26:31","2026-11-27 00:00:00","\u0131nr","1.00","0.00","1.00","charge"',
)


@by_both
def test_currencies_in_small_letters_are_currencies(tmp_path: Path, by: By) -> None:
    columns = {
        "id": "balance_transaction_id",
        "occurred_at": "created_utc",
        "amount": "gross",
        "currency": "currency",
    }
    found = read(by, written(tmp_path, *STRIPE), {}, owned(by, columns, "category"), zone="UTC")
    assert [(one.id, one.amount_minor, one.currency) for one in good(found[:4])] == [
        ("txn_1", 1200, "USD"), ("txn_2", -77, "EUR"), ("txn_3", 1200, "JPY"), ("txn_4", 100, "EUR"),
    ]  # fmt: skip
    assert good(found[:1])[0].at == datetime(2026, 11, 23, 8, 26, 29, tzinfo=UTC)
    unknown, dotless = bad(found[4:])
    assert "is not an ISO 4217 currency" in unknown.reason
    assert "is not a code of three letters" in dotless.reason


PAYPAL = (
    '"Date","Time","TimeZone","Type","Currency","Gross","Fee","Transaction ID","Balance"',
    '"11/20/2026","23:46:20","PST","Payment","USD","1,653.75","-73.07","0AB1","1,610.43"',
    '"07/01/2026","08:57:01","PDT","Withdrawal","USD","-500.00","0.00","0AB2","1,110.43"',
    '"07/01/2026","08:57:01","GMT","Payment","USD","7.00","0.00","0AB3","1,110.43"',
    '"07/01/2026","08:57:01","","Payment","USD","8.00","0.00","0AB4","1,110.43"',
    '"07/01/2026","08:57:01","IST","Payment","USD","9.00","0.00","0AB5","1,110.43"',
)
PAYPAL_LAYOUT = {"thousands_separator": ",", "time_format": "%m/%d/%Y %H:%M:%S %Z"}


@by_both
def test_a_date_a_time_and_a_zone_may_have_columns_of_their_own(tmp_path: Path, by: By) -> None:
    columns = {
        "id": "Transaction ID",
        "occurred_at": ["Date", "Time", "TimeZone"],
        "amount": "Gross",
        "currency": "Currency",
    }
    found = read(by, written(tmp_path, *PAYPAL), PAYPAL_LAYOUT, owned(by, columns, "Type"))
    assert [(one.id, one.amount_minor, one.at) for one in good(found[:3])] == [
        ("0AB1", 165_375, datetime(2026, 11, 21, 7, 46, 20, tzinfo=UTC)),
        ("0AB2", -50_000, datetime(2026, 7, 1, 15, 57, 1, tzinfo=UTC)),
        ("0AB3", 700, datetime(2026, 7, 1, 8, 57, 1, tzinfo=UTC)),
    ]
    assert len(bad(found[3:])) == 2


@by_both
@pytest.mark.parametrize(
    ("layout", "cells", "expected"),
    [
        ({}, ("2026-11-20", "23:46:20"), datetime(2026, 11, 20, 20, 46, 20, tzinfo=UTC)),
        ({}, ("20261120", "234620"), datetime(2026, 11, 20, 20, 46, 20, tzinfo=UTC)),
        ({}, ("2026-11-20", "11:46 PM"), None),
        ({"time_format": "%d.%m.%Y %H:%M"}, ("20.11.2026", "23:46"), datetime(2026, 11, 20, 20, 46, tzinfo=UTC)),
        ({"time_format": "%d.%m.%Y"}, ("20.11.2026", ""), datetime(2026, 11, 19, 21, tzinfo=UTC)),
        ({"time_format": "%d.%m.%Y %H:%M %z"}, ("20.11.2026", "23:46 +0100"),
         datetime(2026, 11, 20, 22, 46, tzinfo=UTC)),
        ({"time_format": "epoch_ms"}, ("1763682380500", ""), datetime(2025, 11, 20, 23, 46, 20, 500_000, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_a_time_of_two_columns(
    tmp_path: Path, by: By, layout: dict[str, Any], cells: tuple[str, str], expected: datetime | None
) -> None:
    path = written(tmp_path, "id,d,t,owner,amount", f"1,{cells[0]},{cells[1]},ada,5")
    columns = {"id": "id", "occurred_at": ["d", "t"], "amount": "amount"}
    [one] = read(by, path, layout | {"currency": "EUR"}, owned(by, columns, "owner"))
    assert getattr(one, "at", None) == expected


BANK = (
    "Code banque : 00000;Agence : 00000;Du 01/11/2026;Au 02/11/2026;;",
    ";;;;;",
    "Solde en fin de p\u00e9riode;;;;;+31070,11",
    "Date;Numero;Libelle;Debit;Credit;Detail",
    "01/11/2026;OP-1;VIREMENT;-500,00;;order-b1",
    "02/11/2026;OP-2;REMISE CB;;+1500,75;order-b2",
    "Solde en d\u00e9but de p\u00e9riode;;;;;+30000,77",
)
BANK_LAYOUT: dict[str, Any] = {
    "delimiter": ";", "decimal_mark": ",", "time_format": "%d/%m/%Y", "currency": "EUR", "debit_sign": "minus",
    "skip_lines": 3, "skip_last": 1,
}  # fmt: skip
BANK_COLUMNS: dict[str, Any] = {"id": "Numero", "occurred_at": "Date", "credit": "Credit", "debit": "Debit"}


@by_both
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "iso-8859-1", "mac-roman"])
@pytest.mark.parametrize("rows_max", [1, 1000])
def test_a_bank_s_export_with_lines_around_it_and_debits_that_carry_a_minus(
    tmp_path: Path, by: By, encoding: str, rows_max: int
) -> None:
    path = written(tmp_path, *BANK, encoding=encoding)
    columns = owned(by, BANK_COLUMNS, "Detail")
    found = read(by, path, BANK_LAYOUT | {"encoding": encoding}, columns, rows_max=rows_max)
    assert [(one.id, one.amount_minor, one.line) for one in good(found)] == [
        ("OP-1", -50_000, 5), ("OP-2", 150_075, 6),
    ]  # fmt: skip


@by_both
def test_debits_have_the_sign_that_is_told_and_no_other(tmp_path: Path, by: By) -> None:
    columns = owned(by, BANK_COLUMNS, "Detail")
    rows = (
        "1;;;5,00;;ada",
        "2;;;-5,00;;ada",
        "3;;;(5,00);;ada",
        "4;;;5,00-;;ada",
        "5;;;;-5,00;ada",
        "6;;;0;5,00;ada",
    )
    lines = ("Numero;Date;x;Debit;Credit;Detail", *(row.replace(";;", ";01/11/2026;", 1) for row in rows))
    layout = BANK_LAYOUT | {"skip_lines": 0, "skip_last": 0}
    path = written(tmp_path, *lines)
    plus = read(by, path, layout | {"debit_sign": "plus"}, columns)
    minus = read(by, path, layout, columns)
    assert ids(plus) == ["1", "6"]
    assert ids(minus) == ["2", "3", "4", "6"]
    assert [one.amount_minor for one in minus if hasattr(one, "amount_minor")] == [-500, -500, -500, 500]
    assert "set debit_sign = 'minus'" in bad(plus)[0].reason


@by_both
@pytest.mark.parametrize("tail", ["", "\n", "\n\n  \n", "\n;;;;;\n", ";;;;;\n;;;;;"])
def test_blank_lines_behind_the_total_do_not_count(tmp_path: Path, by: By, tail: str) -> None:
    path = written(tmp_path, *BANK)
    path.write_text(path.read_text().rstrip("\n") + "\n" + tail)
    assert ids(read(by, path, BANK_LAYOUT, owned(by, BANK_COLUMNS, "Detail"))) == ["OP-1", "OP-2"]


@by_both
def test_a_last_line_that_is_a_row_is_not_left_out_in_silence(tmp_path: Path, by: By) -> None:
    """The day on which the bank forgot its total."""
    found = read(by, written(tmp_path, *BANK[:-1]), BANK_LAYOUT, owned(by, BANK_COLUMNS, "Detail"))
    assert ids(found) == ["OP-1"]
    [one] = bad(found)
    assert (one.line, "reads as a row: is there a total in this file?" in one.reason) == (6, True)


@by_both
def test_a_last_row_whose_quotes_hold_lines_is_no_total(tmp_path: Path, by: By) -> None:
    lines = (*BANK[:5], '02/11/2026;OP-2;"REMISE\nCB\n01/11/2026;OP-evil;x;;+9,00;eve\n";;+1500,75;order-b2')
    found = read(by, written(tmp_path, *lines), BANK_LAYOUT, owned(by, BANK_COLUMNS, "Detail"))
    assert ids(found) == ["OP-1", "OP-2"]


@by_both
@pytest.mark.parametrize("skip_lines", [2, 4, 5, 1000])
def test_another_number_of_lines_before_the_header_is_refused(
    tmp_path: Path, by: By, skip_lines: int
) -> None:
    with pytest.raises(SourceFailed, match=r"the header lacks|is empty|header has"):
        read(
            by,
            written(tmp_path, *BANK),
            BANK_LAYOUT | {"skip_lines": skip_lines},
            owned(by, BANK_COLUMNS, "Detail"),
        )


@by_both
def test_more_last_lines_than_there_are_leave_nothing_out_in_silence(tmp_path: Path, by: By) -> None:
    found = read(
        by, written(tmp_path, *BANK), BANK_LAYOUT | {"skip_last": 50}, owned(by, BANK_COLUMNS, "Detail")
    )
    assert (ids(found), len(bad(found))) == ([], 2)


@by_both
def test_a_preamble_may_be_in_any_letters_and_any_quotes(tmp_path: Path, by: By) -> None:
    path = written(tmp_path, '"never closed', "x", "y", *BANK[3:])
    path.write_bytes(b"\xff\xfa\x00\n" + path.read_bytes())
    found = read(by, path, BANK_LAYOUT | {"skip_lines": 4}, owned(by, BANK_COLUMNS, "Detail"))
    assert ids(found) == ["OP-1", "OP-2"]


ZONES = (
    "id,owner,amount,currency,at",
    "z-1,zoe,10.00,EUR,2026-07-01 00:30:00 UTC",
    "z-2,zoe,10.00,EUR,2026-07-01 00:30:00 GMT",
    "z-3,zoe,10.00,EUR,2026-07-01 00:30:00 PDT",
    "z-4,zoe,10.00,EUR,2026-07-01 00:30:00 TRT",
    "z-5,zoe,10.00,EUR,2026-07-01 00:30:00 +03",
    "z-6,zoe,10.00,EUR,2026-07-01 00:30:00 IST",
    "z-7,zoe,10.00,EUR,2026-07-01 00:30:00",
)


@by_both
@pytest.mark.parametrize("zone", ["Europe/Istanbul", "America/New_York", "UTC"])
def test_a_word_for_a_zone_is_that_zone_whatever_the_account_s_is(tmp_path: Path, by: By, zone: str) -> None:
    columns = {"id": "id", "occurred_at": "at", "amount": "amount", "currency": "currency"}
    layout = {"time_format": "%Y-%m-%d %H:%M:%S %Z"}
    found = read(by, written(tmp_path, *ZONES), layout, owned(by, columns, "owner"), zone=zone)
    assert [one.at.isoformat() for one in good(found[:5])] == [
        "2026-07-01T00:30:00+00:00", "2026-07-01T00:30:00+00:00", "2026-07-01T07:30:00+00:00",
        "2026-06-30T21:30:00+00:00", "2026-06-30T21:30:00+00:00",
    ]  # fmt: skip
    assert len(bad(found[5:])) == 2


@by_both
def test_lines_of_json_may_have_lines_around_them_too(tmp_path: Path, by: By) -> None:
    line = '{"id": "1", "owner": "ada", "amount": "(1,653.75)", "currency": "usd", "d": "2026-11-20", "t": "10:00Z"}'
    path = written(tmp_path, "# an export", line, '{"total": 1}')
    columns = {"id": "id", "occurred_at": ["d", "t"], "amount": "amount", "currency": "currency"}
    layout = {"thousands_separator": ",", "skip_lines": 1, "skip_last": 1}
    [one] = good(read(by, path, layout, owned(by, columns, "owner"), format_="jsonl"))
    assert (one.amount_minor, one.currency, one.at.hour) == (-165_375, "USD", 10)
