"""A file with every fault that older systems' exports have: each record is a row, or is refused with its reason."""

import codecs
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.backfills.sources.legacy import bad, everything, posting, source, told, with_columns, written
from worker.files.lines import RECORD_BYTES_MAX
from worker.sources.port import RAW_LENGTH_MAX, BadRow, PostingRow

MAPPING = told(
    timezone="Europe/Istanbul",
    thousands_separator=",",
    columns=with_columns(kind="kind", to_owner="to"),
    kinds={"BONUS": {"reason": "bonus"}, "BET": {}},
)
HEADER = "id,owner,to,amount,currency,at,kind,note\n"

GOOD = ""
"""The code of a record that is a row."""

RECORDS: list[tuple[str | bytes, str, str]] = [
    ("1,p1,,10.00,EUR,2024-01-01T10:00:00Z,BONUS,", GOOD, ""),
    ('2,p1,,"1,234.50",EUR,2024-01-01 10:00:00+03:00,BET,a thousand', GOOD, ""),
    ('3,p1,,-5,EUR,2024-01-01 10:00:00,BET,"two\nlines, ""quoted"""', GOOD, ""),
    ("", "blank", ""),
    ("   ", "blank", ""),
    ("4,p1,p2,1.00,EUR,2024-01-01,BET,a transfer\r", GOOD, ""),
    ('5, p1 ,,"7.00" ,EUR,2024-01-01,BET,space behind a quote', "not_csv", "a quote or a line break"),
    ('6, "p1",,7.00, EUR ,2024-01-01,BET,space before', GOOD, ""),
    (",p1,,1.00,EUR,2024-01-01T10:00:00Z,BET,", "no_id", "the id, id, is empty"),
    (f"{'x' * 201},p1,,1.00,EUR,2024-01-01,BET,", "bad_id", "at most 200 characters"),
    ("7\u202e8,p1,,1.00,EUR,2024-01-01,BET,", "bad_id", "not a printable text"),
    ("8,,,1.00,EUR,2024-01-01,BET,", "no_owner", "the owner, owner, is empty"),
    ("9,p\u0430ul,,1.00,EUR,2024-01-01,BET,cyrillic a", "bad_owner", "printable ASCII"),
    ("10,p 1,,1.00,EUR,2024-01-01,BET,", "bad_owner", "without spaces"),
    ("11,p1,p1,1.00,EUR,2024-01-01,BET,", "same_owner", "to is the owner"),
    ("12,p1,p2,-1.00,EUR,2024-01-01,BET,", "negative_amount", "a transfer with a minus"),
    ("13,p1,p 2,1.00,EUR,2024-01-01,BET,", "bad_owner", "the owner, to, is not"),
    ("14,p1,,,EUR,2024-01-01,BET,", "no_amount", "the amount, amount, is empty"),
    ("15,p1,,0.00,EUR,2024-01-01,BET,", "zero_amount", "nothing moved"),
    ("16,p1,,-0,EUR,2024-01-01,BET,", "zero_amount", "nothing moved"),
    ("17,p1,,1.005,EUR,2024-01-01,BET,", "bad_amount", "more than 2 digits"),
    ("18,p1,,1.00,JPY,2024-01-01,BET,zeros say nothing", GOOD, ""),
    ("74,p1,,1.50,JPY,2024-01-01,BET,yen have no decimals", "bad_amount", "more than 0 digits"),
    ("19,p1,,1.234,BHD,2024-01-01,BET,fils have three", GOOD, ""),
    ("20,p1,,1e3,EUR,2024-01-01,BET,", "bad_amount", "not a plain decimal number"),
    ("21,p1,,NaN,EUR,2024-01-01,BET,", "bad_amount", "not a plain decimal number"),
    ("22,p1,,\u0661\u0662,EUR,2024-01-01,BET,arabic digits", "bad_amount", "not a plain decimal number"),
    ("23,p1,,\uff11\uff12,EUR,2024-01-01,BET,full-width digits", "bad_amount", "not a plain decimal number"),
    ("24,p1,,\u22125.00,EUR,2024-01-01,BET,a minus of typography", GOOD, ""),
    ("25,p1,,(5.00),EUR,2024-01-01,BET,", GOOD, ""),
    ("26,p1,,5.00-,EUR,2024-01-01,BET,", GOOD, ""),
    ("27,p1,,$5.00,EUR,2024-01-01,BET,", "bad_amount", "not of the row's currency"),
    ("70,p1,,\u20ac 5.00,EUR,2024-01-01,BET,", GOOD, ""),
    ("71,p1,,(-5.00),EUR,2024-01-01,BET,", "bad_amount", "has two signs"),
    ("72,8.82E+15,,5.00,EUR,2024-01-01,BET,", "mangled_id", "what a spreadsheet made of one"),
    ("#REF!,p1,,5.00,EUR,2024-01-01,BET,", "mangled_id", "what a spreadsheet made of one"),
    ('28,p1,,"1,23",EUR,2024-01-01,BET,', "bad_amount", "not grouped by threes"),
    ('29,p1,,"1,2345.00",EUR,2024-01-01,BET,', "bad_amount", "not grouped by threes"),
    ('30,p1,,"1.234,50",EUR,2024-01-01,BET,the other way round', "bad_amount", "not grouped by threes"),
    ("31,p1,,92233720368547758.08,EUR,2024-01-01,BET,", "bad_amount", "larger than BIGINT"),
    ("32,p1,,92233720368547758.07,EUR,2024-01-01,BET,", GOOD, ""),
    (f"33,p1,,{'9' * 5000},EUR,2024-01-01,BET,", "bad_amount", "not a plain decimal number"),
    ("34,p1,,1.00,,2024-01-01,BET,", "no_currency", "the currency, currency, is empty"),
    ("35,p1,,1.00,eur,2024-01-01,BET,small letters", GOOD, ""),
    ("36,p1,,1.00,XXX,2024-01-01,BET,", "unknown_currency", "ISO 4217"),
    ("37,p1,,1.00,BTC,2024-01-01,BET,", "unknown_currency", "ISO 4217"),
    ("38,p1,,1.00,\u0415UR,2024-01-01,BET,cyrillic E", "unknown_currency", "three letters"),
    ("39,p1,,1.00,EUR,,BET,", "no_time", "the time, at, is empty"),
    ("40,p1,,1.00,EUR,31/12/2024,BET,", "bad_time", "not an ISO 8601 time"),
    ("41,p1,,1.00,EUR,2024-02-30,BET,", "bad_time", "not an ISO 8601 time"),
    ("42,p1,,1.00,EUR,2024-01-01T25:00:00Z,BET,", "bad_time", "not an ISO 8601 time"),
    ("43,p1,,1.00,EUR,1704103200,BET,", "bad_time", "not an ISO 8601 time"),
    ("44,p1,,1.00,EUR,\u0662\u0660\u0662\u0664-01-01,BET,", "bad_time", "not an ISO 8601 time"),
    ("45,p1,,1.00,EUR,2016-03-27 03:30:00,BET,clocks went forward", "no_such_time", "never was"),
    ("46,p1,,1.00,EUR,2015-11-08 03:30:00,BET,clocks went back", "ambiguous_time", "was twice"),
    ("47,p1,,1.00,EUR,0001-01-01T00:00:00+05:00,BET,", "bad_time", "not an ISO 8601 time"),
    ("48,p1,,1.00,EUR,2024-01-01,SPIN,", "unknown_kind", "the kind, kind, is not one of [kinds]"),
    ("49,p1,,1.00,EUR,2024-01-01,,", "unknown_kind", "the kind, kind, is not one of [kinds]"),
    ("50,p1,,1.00,EUR,2024-01-01,BET", "ragged", "7 columns, the header has 8"),
    ("51,p1,,1.00,EUR,2024-01-01,BET,a,b", "ragged", "9 columns, the header has 8"),
    (",,,,,,,", "no_id", "the id, id, is empty"),
    ("\t\t", "ragged", "1 columns, the header"),
    (b"52,p\xff1,,1.00,EUR,2024-01-01,BET,", "undecodable", "not utf-8"),
    (b"53,p1,,1.00,EUR,2024-01-01,BET,caf\xe9", "undecodable", "not utf-8"),
    ("54,p1,,1.00,EUR,2024-01-01,BET,a\x00b", "nul", "a NUL character"),
    (
        f"55,p1,,1.00,EUR,2024-01-01,BET,{'z' * RECORD_BYTES_MAX}",
        "too_long",
        f"longer than {RECORD_BYTES_MAX} bytes",
    ),
    (f"56,p1,,1.00,EUR,2024-01-01,BET,{'z' * 900_000}", "too_long", f"longer than {RECORD_BYTES_MAX} bytes"),
    (
        (
            '57,p1,,1.00,EUR,2024-01-01,BET,"never closed\n58,p1,,1.00,EUR,2024-01-01,BET,a stranger wrote it\n'
            '59,"p1,,1.00,EUR,2024-01-01,BET,\n60,"p1",,1.00,EUR,2024-01-01,BET,"the first of these closes it"'
        ),
        "not_csv",
        "its quotes hold the lines",
    ),
    (
        '67,"p1,,1.00,EUR,2024-01-01,BET,\n68,p1,,1.00,EUR,2024-01-01,BET,closes it 12"',
        "ragged",
        "2 columns, the header has 8; its quotes hold the lines",
    ),
    ("61,p1,,1.00,EUR,2024-01-01,BET,a return\rinside", "not_csv", "a quote or a line break"),
    ('62,p1,,1.00,EUR,2024-01-01,BET,"a return\rin quotes"', GOOD, ""),
    ('63,p1,,1.00,EUR,2024-01-01,BET,a 12" record', GOOD, ""),
    ('64,p1,,1.00,EUR,2024-01-01,"BET"x",', "not_csv", "a quote or a line break"),
    ('65,p1,,1.00,EUR,2024-01-01,BET,"one",', "ragged", "9 columns"),
    ("1,p1,,10.00,EUR,2024-01-01T10:00:00Z,BONUS,an id twice is the ledger's to see", GOOD, ""),
    ("66,p1,,1.00,EUR,2024-01-01,BET,the last good one", GOOD, ""),
    (
        '69,p1,,1.00,EUR,2024-01-01,BET,"never closed\n73,p1,,1.00,EUR,2024-01-01,BET,and no end',
        "unclosed_quote",
        "is not closed before the end of the file: the 2 lines from there on are this one record",
    ),
]


def as_bytes(record: str | bytes) -> bytes:
    return record if isinstance(record, bytes) else record.encode()


def legacy_file(folder: Path) -> Path:
    records = b"\n".join(as_bytes(record) for record, _, _ in RECORDS)
    return written(folder, codecs.BOM_UTF8 + HEADER.encode() + records)


def line_of(number: int) -> int:
    """The line that the record of that number begins at, the header being line 1."""
    return 2 + sum(1 + as_bytes(record).count(b"\n") for record, _, _ in RECORDS[:number])


EXPECTED = {
    line_of(number): (code, reason) for number, (_, code, reason) in enumerate(RECORDS) if code != "blank"
}


@pytest.mark.parametrize("rows_max", [1, 3, 1000])
def test_every_record_is_a_row_or_is_refused_with_its_line_and_its_reason(
    tmp_path: Path, rows_max: int
) -> None:
    found = everything(source(legacy_file(tmp_path), MAPPING), rows_max)
    assert {row.line: row.code if isinstance(row, BadRow) else GOOD for row in found} == {
        line: code for line, (code, _) in EXPECTED.items()
    }
    assert len(found) == len(EXPECTED)
    for row in found:
        if isinstance(row, BadRow):
            assert row.line is not None
            assert EXPECTED[row.line][1] in row.reason
            assert row.place == str(row.line)


def test_what_is_good_says_exactly_what_the_file_says(tmp_path: Path) -> None:
    rows = {row.line: row for row in everything(source(legacy_file(tmp_path), MAPPING))}
    ten = datetime(2024, 1, 1, 10, tzinfo=UTC)
    assert rows[2] == PostingRow(
        place="2", line=2, row_id="1", owner="p1", to_owner=None, amount_minor=1000, currency="EUR",
        reason="bonus", occurred_at=ten, raw="1,p1,,10.00,EUR,2024-01-01T10:00:00Z,BONUS,",
    )  # fmt: skip
    second, third = posting(rows[3]), posting(rows[4])
    assert (second.amount_minor, second.reason) == (123_450, "history")
    assert second.occurred_at == third.occurred_at == datetime(2024, 1, 1, 7, tzinfo=UTC)
    assert (third.amount_minor, third.raw) == (
        -500, '3,p1,,-5,EUR,2024-01-01 10:00:00,BET,"two\nlines, ""quoted"""',
    )  # fmt: skip
    transfer = posting(rows[8])
    assert (transfer.owner, transfer.to_owner, transfer.amount_minor) == ("p1", "p2", 100)


def test_a_bad_row_keeps_its_text_as_far_as_a_database_can(tmp_path: Path) -> None:
    shown = {
        bad(row).code: row
        for row in everything(source(legacy_file(tmp_path), MAPPING))
        if isinstance(row, BadRow)
    }
    assert shown["nul"].raw == "54,p1,,1.00,EUR,2024-01-01,BET,a\ufffdb"
    assert shown["undecodable"].raw == "53,p1,,1.00,EUR,2024-01-01,BET,caf\ufffd"
    assert shown["unclosed_quote"].raw == (
        '69,p1,,1.00,EUR,2024-01-01,BET,"never closed\n73,p1,,1.00,EUR,2024-01-01,BET,and no end'
    )
    assert len(shown["too_long"].raw) == RAW_LENGTH_MAX


def test_a_reason_never_quotes_what_stands_in_the_row(tmp_path: Path) -> None:
    content = HEADER + "a,secret-owner 1,,secret-amount,SEC,secret-time,secret-kind,\n"
    for column in range(8):
        cells = content.splitlines()[1].split(",")
        good = ["1", "p1", "", "1.00", "EUR", "2024-01-01", "BET", ""]
        good[column] = cells[column]
        for row in everything(source(written(tmp_path, (HEADER + ",".join(good)).encode()), MAPPING)):
            assert "sec" not in (row.reason if isinstance(row, BadRow) else "").lower().replace("seconds", "")
