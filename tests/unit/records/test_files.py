"""Report files of any content: nothing is lost, nothing is guessed, and memory does not grow with the file."""

import hashlib
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.records.reports import (
    AMSTERDAM,
    EVER,
    HEADER,
    SETTLED,
    adyen_file,
    adyen_line,
    columns,
    read,
)
from worker.files.lines import RECORD_BYTES_MAX
from worker.providers.records.columns import ReportFormat
from worker.providers.records.port import RAW_LENGTH_MAX, BadRow, Record, SourceFailed
from worker.providers.records.registry import file_source

ROW = adyen_line(SETTLED).encode()
FEE = {name: SETTLED[name] for name in ("Creation Date", "TimeZone", "Batch Number", "Net Currency")} | {
    "Type": "Fee",
    "Net Debit (NC)": "1.00",
}
GOOD = HEADER.encode() + b"\n" + ROW + b"\n"
LARGE_ROWS = 200_000
MEMORY_BYTES_MAX = 5 * 1024 * 1024


def adyen_bytes(folder: Path, content: bytes) -> list[Record | BadRow]:
    path = folder / "report.csv"
    path.write_bytes(content)
    return read("adyen_settlement", path)


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        b"\xef\xbb\xbf" + GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.rstrip(b"\n"),
        GOOD + b"\n  \n\r\n\n",
        GOOD.replace(b"order-1", b'"order-1"'),
    ],
    ids=["plain", "bom", "crlf", "no_last_end", "blank_lines", "quoted"],
)
def test_the_same_row_however_the_file_is_written(tmp_path: Path, content: bytes) -> None:
    (record,) = adyen_bytes(tmp_path, content)
    assert isinstance(record, Record)
    assert (record.reference, record.amount_minor) == ("order-1", 1250)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty: not even a header"),
        (b"\n\n", "is empty: not even a header"),
        (GOOD.decode().encode("utf-16"), "is UTF-16 or UTF-32: save it as UTF-8"),
        (b"PK\x03\x04\xff\xff", "is packed with zip: unpack it first"),
        (HEADER.encode() + b"\xff\n" + ROW, "the header cannot be read \\(the text is not utf-8"),
        (
            HEADER.replace("Type", '"Type', 1).encode() + b"\n" + ROW,
            "the header cannot be read \\(the quote that is",
        ),
        (b"x" * (RECORD_BYTES_MAX + 2), "the header cannot be read"),
    ],
)
def test_what_is_no_such_file_is_refused_in_a_sentence(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(SourceFailed, match=reason):
        adyen_bytes(tmp_path, content)


@pytest.mark.parametrize("name", ["missing.csv", ".", "a\x00b"])
def test_what_cannot_be_opened_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceFailed):
        read("adyen_settlement", tmp_path / name)


def test_a_file_is_known_by_its_digest(tmp_path: Path) -> None:
    path = adyen_file(tmp_path, [SETTLED])
    source = file_source("adyen_settlement", path, None, AMSTERDAM)
    assert source.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert source.name == path.name


def test_a_file_that_changes_under_the_reader_is_refused(tmp_path: Path) -> None:
    path = adyen_file(tmp_path, [SETTLED])
    source = file_source("adyen_settlement", path, None, AMSTERDAM)
    assert source.digest
    path.write_bytes(path.read_bytes() + ROW)
    with pytest.raises(SourceFailed, match="was changed while it was read"):
        list(source.read(EVER))


def test_a_line_without_end_is_one_bad_row(tmp_path: Path) -> None:
    endless = b"x" * (5 * RECORD_BYTES_MAX)
    first, bad, last = adyen_bytes(tmp_path, GOOD + endless + b"\n" + ROW)
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.reason, len(bad.raw)) == (3, "the line is longer than 65536 bytes", RAW_LENGTH_MAX)
    assert [type(row) for row in (first, last)] == [Record, Record]


@pytest.mark.parametrize("length", range(RECORD_BYTES_MAX - 1, RECORD_BYTES_MAX + 4))
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_around_the_longest_line_nothing_is_lost(tmp_path: Path, length: int, end: bytes) -> None:
    more = ROW if end else b""
    found = adyen_bytes(tmp_path, GOOD + b"x" * length + end + more)
    assert [type(row) for row in found] == [Record, BadRow, *([Record] if end else [])]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path, more = tmp_path / "large.csv", "x" * 100
    with path.open("w") as file:
        file.write("id,at,amount,ccy,more\n")
        file.writelines(f"r{at},2026-11-20T10:00:00Z,1250,EUR,{more}\n" for at in range(LARGE_ROWS))
    assert path.stat().st_size > 5 * MEMORY_BYTES_MAX
    tracemalloc.start()
    try:
        source = file_source("csv", path, columns(), AMSTERDAM)
        total = sum(row.amount_minor for row in source.read(EVER) if isinstance(row, Record))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 1250 * LARGE_ROWS
    assert peak_bytes < MEMORY_BYTES_MAX


def test_a_report_of_adyen_s_is_not_kept_in_memory_either(tmp_path: Path) -> None:
    """Its nameless rows are remembered, up to a bound."""
    fee = ",".join(FEE.get(column, "") for column in HEADER.split(","))
    path = tmp_path / "large.csv"
    path.write_text(
        HEADER + "\n" + "".join(f"{fee.replace('1.00', f'{at}.00')}\n" for at in range(1, 15_001))
    )
    found = read("adyen_settlement", path)
    assert len(found) == len({row.record_id for row in found if isinstance(row, Record)}) == 15_000


WORDS = [
    b",",
    b'"',
    b"\n",
    b"\r",
    b"\x00",
    b"\xff",
    b"\xc3\xa9",
    b" ",
    b"-",
    b"1.5",
    b"Fee",
    ROW,
    b"\n" + ROW + b"\n",
]
ANY_BYTES = st.lists(st.one_of(st.binary(max_size=20), st.sampled_from(WORDS)), max_size=30).map(b"".join)


@settings(max_examples=200, deadline=None)
@given(ANY_BYTES)
def test_every_line_is_in_a_record_or_in_a_bad_row(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """Each once: a record's lines are those from its own to the next one's, but for blank ones."""
    folder, whole = tmp_path_factory.mktemp("any", numbered=True), HEADER.encode() + b"\n" + content
    found = adyen_bytes(folder, whole)
    begun = [row.line or 0 for row in found]
    assert begun == sorted(set(begun))
    not_blank = {
        number
        for number, line in enumerate(whole.split(b"\n")[1:], start=2)
        if line.decode("utf-8", "replace").strip() or b"\t" in line
    }
    assert set(begun) <= not_blank
    for missing in not_blank - set(begun):
        row = max((row for row in found if (row.line or 0) < missing), key=lambda row: row.line or 0)
        assert isinstance(row, BadRow)
        assert row.raw.count("\n") >= missing - (row.line or 0) or len(row.raw) == RAW_LENGTH_MAX


@settings(max_examples=100, deadline=None)
@given(ANY_BYTES, st.sampled_from(get_args(ReportFormat)))
def test_no_content_raises_anything_but_source_failed(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, format_: ReportFormat
) -> None:
    path = tmp_path_factory.mktemp("any", numbered=True) / "file"
    path.write_bytes(content)
    told = None if format_ == "adyen_settlement" else columns()
    with suppress(SourceFailed):
        assert all(row.line for row in read(format_, path, told))
