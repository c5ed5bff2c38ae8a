"""Opening a file, knowing it again, and reading it in flat memory however large it is."""

import codecs
import hashlib
import os
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.backfills.sources.legacy import (
    HEADER,
    bad,
    everything,
    opening,
    pages,
    posting,
    source,
    told,
    with_columns,
    written,
)
from worker.files.reading import Reader, TextLines
from worker.sources.files import FileSource
from worker.sources.port import BadRow, Extent, Page, Row, SourceChanged, SourceFailed

ROW = b"1,p1,1.00,EUR,2024-01-01T00:00:00Z\n"
MEMORY_BYTES_MAX = 6 * 1024 * 1024
TIMES = {"rows": 10, "one long line": 60, "blank lines": 1, "unclosed quotes": 3}


def page_by_page(found: FileSource) -> Iterator[Page]:
    page = found.page(None, 1000)
    yield page
    while not page.is_last:
        page = found.page(page.after, 1000)
        yield page


def test_a_file_says_how_large_it_is_and_its_digest(tmp_path: Path) -> None:
    content = HEADER + ROW * 5
    found = source(written(tmp_path, content))
    assert found.extent() == Extent(len(content), None, hashlib.sha256(content).hexdigest())


def test_a_page_says_how_far_it_read_and_whether_it_was_the_last(tmp_path: Path) -> None:
    found = pages(source(written(tmp_path, HEADER + ROW * 5)), 2)
    assert [(len(page.rows), page.is_last, page.bytes_read) for page in found] == [
        (2, False, len(HEADER + ROW * 2)), (2, False, len(HEADER + ROW * 4)), (1, True, len(HEADER + ROW * 5)),
    ]  # fmt: skip
    assert {name: found[0].after[name] for name in ("offset", "line")} == {
        "offset": len(HEADER + ROW * 2),
        "line": 3,
    }


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("last_end", [True, False])
def test_lines_may_end_in_three_ways(tmp_path: Path, end: bytes, last_end: bool) -> None:
    content = (HEADER + ROW * 3).replace(b"\n", end)
    path = written(tmp_path, content if last_end else content.removesuffix(end))
    assert [(row.line, row.raw) for row in map(posting, everything(source(path), 2))] == [
        (line, ROW.decode().strip()) for line in (2, 3, 4)
    ]
    assert pages(source(path), 10)[-1].bytes_read == path.stat().st_size


def test_a_line_feed_in_a_file_of_lone_returns_ends_nothing(tmp_path: Path) -> None:
    content = b'id,owner,amount,currency,at,note\r1,p1,1,EUR,2024-01-01T00:00Z,"a\nb"\r'
    found = everything(source(written(tmp_path, content + b"2,p1,1,EUR,2024-01-01T00:00Z,\r")))
    assert [posting(row).row_id for row in found] == ["1", "2"]


@pytest.mark.parametrize(
    ("lines", "characters", "is_one"),
    [
        (100, 1, True),
        (30_000, 1, True),
        (8, 8_000, True),
        (9, 8_000, False),
        (2, 60_000, False),
        (2, 99_000, False),
    ],
)
def test_a_record_over_many_lines_is_bounded(
    tmp_path: Path, lines: int, characters: int, is_one: bool
) -> None:
    note = b"\n".join([b"n" * characters] * lines)
    record = b'1,p1,1,EUR,2024-01-01T00:00Z,"' + note + b'"\n'
    path = written(tmp_path, HEADER.replace(b"at", b"at,note") + record + b"2,p1,1,EUR,2024-01-01T00:00Z,\n")
    first, last = everything(source(path))
    assert (posting(last).row_id, posting(last).line) == ("2", lines + 2)
    assert isinstance(first, BadRow) is not is_one
    assert is_one or bad(first).code == "too_long"
    assert is_one or f"its quotes hold the lines 2 to {lines + 1}" in bad(first).reason


@pytest.mark.parametrize("content", [HEADER, HEADER.strip(), HEADER + b"\n\n  \n"])
def test_a_header_alone_is_an_empty_source(tmp_path: Path, content: bytes) -> None:
    found = source(written(tmp_path, content))
    (page,) = pages(found, 5)
    assert (page.rows, page.is_last) == ([], True)
    assert found.page(page.after, 5) == page


def test_a_page_that_meets_blank_lines_only_ends_early(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + b"\n" * 250_000 + ROW)
    found = pages(source(path), 3)
    assert len(found) > 2
    assert [row.line for page in found for row in page.rows] == [250_002]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty: not even a header"),
        (b"\n\n\n", "is empty: not even a header"),
        (codecs.BOM_UTF16_LE + "id,owner".encode("utf-16-le"), "is UTF-16 or UTF-32: save it as UTF-8"),
        (codecs.BOM_UTF16_BE + "id,owner".encode("utf-16-be"), "is UTF-16 or UTF-32: save it as UTF-8"),
        (codecs.BOM_UTF32_LE + "id,owner".encode("utf-32-le"), "is UTF-16 or UTF-32: save it as UTF-8"),
        (codecs.BOM_UTF32_BE + "id,owner".encode("utf-32-be"), "is UTF-16 or UTF-32: save it as UTF-8"),
        (HEADER.decode().encode("utf-16-le") + ROW, "the header cannot be read (a NUL character"),
        (b"\x1f\x8b\x08\x00", "is packed with gzip: unpack it first"),
        (b"PK\x03\x04", "is packed with zip: unpack it first"),
        (b"id,owner,amount,currency\n", "the header lacks at: correct columns, delimiter or skip_lines"),
        (b"id;owner;amount;currency;at\n", "the header lacks id, owner, amount, currency, at"),
        (b"id,owner,amount,currency,at,amount\n", "the header has amount twice"),
        (
            b'id,owner,amount,currency,"at\n',
            "the header cannot be read (the quote that is opened in line 1 is not closed",
        ),
        (b"id,owner,amount,currency,at\xff\n", "the header cannot be read (the text is not utf-8"),
        (HEADER.strip() + b"," * 70_000, "the header cannot be read (the line is longer than"),
    ],
)
def test_a_file_that_is_not_as_described_is_refused_at_the_start(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    found = source(written(tmp_path, content))
    for asked in (found.check, lambda: found.page(None, 5)):
        with pytest.raises(SourceFailed) as raised:
            asked()
        assert str(raised.value).startswith("legacy.csv")
        assert sentence in str(raised.value)


def test_columns_that_nobody_needs_may_be_there_twice_and_in_any_order(tmp_path: Path) -> None:
    path = written(tmp_path, b"x,at, amount ,x,currency,owner,id\n,2024-01-01T00:00:00Z,5,,EUR,p1,9\n")
    (row,) = everything(source(path))
    assert (posting(row).row_id, posting(row).amount_minor) == ("9", 500)


def test_the_mark_of_utf_8_belongs_to_utf_8(tmp_path: Path) -> None:
    path = written(tmp_path, codecs.BOM_UTF8 + HEADER + ROW)
    assert len(everything(source(path), 1)) == 1
    with pytest.raises(SourceFailed, match="set encoding = 'utf-8'"):
        source(path, told(encoding="cp1254")).check()


@pytest.mark.parametrize("encoding", ["cp1254", "iso-8859-9", "latin-1", "cp1252", "windows-1254"])
def test_other_encodings_are_read_where_they_are_told(tmp_path: Path, encoding: str) -> None:
    row = "\u00f6-1,p1,1.00,EUR,2024-01-01T00:00:00Z\n".encode(encoding)
    (found,) = everything(source(written(tmp_path, HEADER + row), told(encoding=encoding)))
    assert posting(found).row_id == "\u00f6-1"


def test_what_an_encoding_does_not_have_is_quarantined(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + b"\x81,p1,1.00,EUR,2024-01-01T00:00:00Z\n" + ROW)
    first, second = everything(source(path, told(encoding="cp1252")))
    assert (bad(first).code, posting(second).row_id) == ("undecodable", "1")


@pytest.mark.parametrize("name", ["nothing.csv", ".", "a\x00b"])
def test_what_is_not_a_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceFailed, match=r"is not a file|cannot be read"):
        source(tmp_path / name).check()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceFailed, match="is not a file"):
        source(tmp_path / "pipe").page(None, 1)


def test_a_file_that_was_changed_meanwhile_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + ROW * 5)
    digest = source(path).extent().digest
    after = source(path, digest=digest).page(None, 2).after
    path.write_bytes(HEADER + ROW.replace(b"1.00", b"9.00") * 5)
    os.utime(path, ns=(1, 1))
    with pytest.raises(SourceChanged, match="put that one back and resume, or cancel"):
        source(path, digest=digest).page(after, 2)


def test_a_file_that_has_grown_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + ROW * 5)
    digest = source(path).extent().digest
    after = source(path, digest=digest).page(None, 2).after
    with path.open("ab") as file:
        file.write(ROW)
    with pytest.raises(SourceChanged):
        source(path, digest=digest).page(after, 2)


def test_another_file_than_the_run_was_asked_for_is_refused_at_its_first_page(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + ROW * 5)
    with pytest.raises(SourceChanged):
        source(path, digest="0" * 64).page(None, 2)


def test_a_file_that_changes_while_a_page_is_read_gives_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, page = written(tmp_path, HEADER + ROW * 5), Reader.page

    def meanwhile(rows: Reader[Row | BadRow], lines: TextLines, rows_max: int) -> list[Row | BadRow]:
        with path.open("ab") as file:
            file.write(ROW)
        return page(rows, lines, rows_max)

    monkeypatch.setattr(Reader, "page", meanwhile)
    with pytest.raises(SourceChanged, match="was changed while it was read"):
        source(path).page(None, 2)


def test_a_file_that_was_only_touched_or_copied_back_is_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + ROW * 5)
    digest = source(path).extent().digest
    after = source(path, digest=digest).page(None, 2).after
    path.unlink()
    path.write_bytes(HEADER + ROW * 5)
    os.utime(path, ns=(5, 5))
    page = source(path, digest=digest).page(after, 10)
    assert (len(page.rows), page.after["mtime_ns"]) == (3, 5)


def test_a_file_that_nobody_knows_the_digest_of_may_not_change(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + ROW * 5)
    after = source(path).page(None, 2).after
    os.utime(path, ns=(5, 5))
    with pytest.raises(SourceChanged):
        source(path).page(after, 10)


@pytest.mark.parametrize(
    "wrong", [{"offset": -1}, {"offset": 3}, {"offset": 10**9}, {"offset": "5"}, {"line": None}]
)
def test_a_cursor_of_something_else_is_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    found = source(written(tmp_path, HEADER + ROW * 5))
    with pytest.raises(SourceFailed, match="the cursor is not one of this file"):
        found.page({**found.page(None, 1).after, **wrong}, 5)


def test_opening_balances_need_neither_an_id_nor_a_reason(tmp_path: Path) -> None:
    path = written(tmp_path, b"owner,amount,currency\np1,10.00,EUR\np2,-3.00,EUR\np3,0,EUR\np4,,EUR\n")
    mapping = {"unit": "major", "as_of": "2024-01-01T03:00:00+03:00"} | {
        "columns": with_columns(id=None, occurred_at=None)
    }
    *good, last = everything(source(path, mapping, kind="opening_balances"))
    assert [(row.owner, row.amount_minor, row.line) for row in map(opening, good)] == [
        ("p1", 1000, 2), ("p2", -300, 3), ("p3", 0, 4),
    ]  # fmt: skip
    assert {opening(row).as_of for row in good} == {datetime(2024, 1, 1, tzinfo=UTC)}
    assert bad(last).code == "no_amount"


@pytest.mark.parametrize("kind", ["rows", "one long line", "blank lines", "unclosed quotes"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, kind: str) -> None:
    """A page holds its rows, two blocks and what texts are remembered, and nothing else."""
    block = {
        "rows": b"".join(ROW.strip().ljust(1000) + b"\n" for _ in range(3_000)),
        "one long line": b"x" * 1_000_000,
        "blank lines": b"\n" * 500_000,
        "unclosed quotes": b'1,"p1,1.00,EUR,2024-01-01T00:00:00Z\n' * 10_000,
    }[kind]
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.write(HEADER)
        for _ in range(TIMES[kind]):
            file.write(block)
    found = source(path)
    found.page(None, 1000)
    tracemalloc.start()
    try:
        for page in page_by_page(found):
            assert len(page.rows) <= 1000
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES_MAX
    finally:
        tracemalloc.stop()


def test_the_end_of_a_file_of_many_gigabytes_is_reached_at_once(tmp_path: Path) -> None:
    """A sparse file: its middle is never read, since a cursor is a place."""
    path = tmp_path / "huge.csv"
    five_gb = 5 * 1024**3
    with path.open("wb") as file:
        file.write(HEADER + ROW * 3)
        file.truncate(five_gb)
        file.seek(five_gb)
        file.write(b"\n" + ROW * 2)
    found = source(path)
    first = found.page(None, 3)
    assert (first.is_last, first.bytes_read) == (False, len(HEADER + ROW * 3))
    last = found.page({**first.after, "offset": five_gb + 1, "line": 100_000_000}, 10)
    assert [posting(row).line for row in last.rows] == [100_000_001, 100_000_002]
    assert (last.is_last, last.bytes_read) == (True, path.stat().st_size)
