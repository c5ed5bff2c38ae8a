"""Whatever a file holds: pages of any size give the same rows as one page, from any cursor on, and lose nothing."""

import json
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.backfills.sources import legacy
from tests.unit.backfills.sources.legacy import HEADER, everything, pages, source, written
from worker.files.lines import RECORD_BYTES_MAX
from worker.sources.port import BadRow

GOOD = b"7,p1,1.00,EUR,2024-01-01T00:00:00Z"
PIECES = (
    GOOD, b"8,p2,-2.50,EUR,2024-01-01T00:00:00Z", b'9,"p3",3,EUR,"2024-01-01T00:00:00Z"', b'"9\n",p3,3,EUR,x',
    b'"', b'a"b', b'"a\nb"', b",", b",,,,", b"\n", b"\r\n", b"\r", b"\x00", b"\xff", "\u00e9".encode(), b" ", b"\t",
)  # fmt: skip
SHORT_LINES = 2_000
ANY_FOLDER = settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])

contents = st.lists(
    st.tuples(st.sampled_from(PIECES), st.sampled_from([b"", b"\n", b"\n", b"\r\n", b","])), max_size=25
).map(lambda parts: b"".join(piece + end for piece, end in parts))
"""Every kind of damage, next to every other."""


@given(content=contents, rows_max=st.integers(1, 9))
@ANY_FOLDER
def test_pages_of_any_size_give_what_one_page_gives(tmp_path: Path, content: bytes, rows_max: int) -> None:
    found = source(written(tmp_path, HEADER + content))
    assert everything(found, rows_max) == everything(found, 10_000)


@given(content=contents, rows_max=st.integers(1, 5), later=st.integers(1, 7))
@ANY_FOLDER
def test_another_process_goes_on_from_any_cursor(
    tmp_path: Path, content: bytes, rows_max: int, later: int
) -> None:
    path = written(tmp_path, HEADER + content)
    whole, before = everything(source(path)), 0
    for page in pages(source(path), rows_max):
        before += len(page.rows)
        kept = json.loads(json.dumps(page.after))
        assert everything(source(path), later, kept) == whole[before:]


@given(content=contents)
@ANY_FOLDER
def test_every_line_that_is_not_blank_is_in_a_row_or_a_bad_row(tmp_path: Path, content: bytes) -> None:
    """Each once: a record's lines are those from its own number to the next record's, but for blank ones."""
    end = b"\n"
    lines = (HEADER + content).split(end)
    not_blank = {
        number for number, line in enumerate(lines[1:], start=2) if line.strip(b" \r") or b"\t" in line
    }
    found = everything(source(written(tmp_path, HEADER + content)))
    begun = [row.line or 0 for row in found]
    assert begun == sorted(set(begun))
    assert set(begun) <= not_blank
    for missing in not_blank - set(begun):
        row = max((row for row in found if (row.line or 0) < missing), key=lambda row: row.line or 0)
        assert row.raw.count("\n") >= missing - (row.line or 0)


@given(content=contents)
@ANY_FOLDER
def test_what_is_around_a_good_row_does_not_change_it(tmp_path: Path, content: bytes) -> None:
    """Rows on lines of their own after any damage: all of them are read, unless the damage holds them in quotes."""
    quotes = content.count(b'"')
    found = everything(source(written(tmp_path, HEADER + content + b"\n" + (GOOD + b"\n") * 3)))
    good = [row for row in found if not isinstance(row, BadRow) and row.raw == GOOD.decode()]
    assert len(good) >= 3 or quotes


@pytest.mark.parametrize("rows_max", [1, 2, 7, 1000])
@pytest.mark.parametrize("format_", ["csv", "jsonl"])
def test_rows_across_the_borders_of_blocks_are_whole(
    tmp_path: Path, rows_max: int, format_: Literal["csv", "jsonl"]
) -> None:
    """Lines of every length around a block's, and long ones that are let go in between."""
    lengths = [
        *range(60, 90),
        131_000,
        60_000,
        RECORD_BYTES_MAX - 1,
        RECORD_BYTES_MAX + 1,
        300_000,
        70,
        131_072,
        80,
    ]
    lines = [_line(number, length, format_) for number, length in enumerate(lengths * 3)]
    path = written(tmp_path, (HEADER if format_ == "csv" else b"") + b"\n".join(lines))
    found = everything(source(path, MAPPING_WITH_NOTE, format_=format_), rows_max)
    assert len(found) == len(lines)
    for number, (row, line) in enumerate(zip(found, lines, strict=True)):
        too_long = len(line) > RECORD_BYTES_MAX
        assert (row.code == "too_long") if isinstance(row, BadRow) else not too_long, number
        assert row.raw == line[:SHORT_LINES].decode()


MAPPING_WITH_NOTE = legacy.told()


def _line(number: int, length: int, format_: str) -> bytes:
    if format_ == "csv":
        row = b"%d,p1,1.00,EUR,2024-01-01T00:00:00Z" % number
        return row + b" " * (length - len(row))
    record = {
        "id": number,
        "owner": "p1",
        "amount": "1.00",
        "currency": "EUR",
        "at": "2024-01-01T00:00:00Z",
        "n": "",
    }
    return json.dumps(record | {"n": "x" * (length - len(json.dumps(record)))}).encode()
