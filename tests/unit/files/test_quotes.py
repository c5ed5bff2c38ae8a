"""A stranger's text never becomes a record: whatever stands inside of quotes stays there, also in a row that is bad."""

import csv
import io
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.backfills.sources.legacy import pages
from tests.unit.files.reading import BOTH, By, bad, ids, read
from worker.files.lines import BLOCK_BYTES, RECORD_BYTES_MAX
from worker.files.quotes import Quotes
from worker.sources.files import FileSource
from worker.sources.mapping import legacy_mapping

COLUMNS = {"id": "id", "owner": "owner", "amount": "amount", "currency": "currency", "occurred_at": "at"}
HEADER = "id,owner,amount,currency,at,memo\n"
FIRST, LAST = (
    "t-1,alice,10.00,EUR,2026-01-01T00:00:00Z,plain\n",
    "t-3,bob,10.00,EUR,2026-01-03T00:00:00Z,plain\n",
)
FORGED = "evil-1,mallory,1000000.00,EUR,2026-01-05T00:00:00Z,x"
ROW = "t-2,mallory,1.00,EUR,2026-01-02T00:00:00Z,"
by_both = pytest.mark.parametrize("by", BOTH)


def with_row(folder: Path, row: str | bytes, last: str = LAST) -> Path:
    path = folder / "memo.csv"
    middle = row if isinstance(row, bytes) else row.encode()
    path.write_bytes((HEADER + FIRST).encode() + middle + b"\n" + last.encode())
    return path


@by_both
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "memo",
    [
        f"hi\n{FORGED}\nbye",
        f"\n{FORGED}\n",
        f'""\n{FORGED}\n""',
        f'he said ""hi""\n{FORGED}\n""',
        "hi\n" + f"{FORGED}\n" * 99 + "bye",
        "hi\n" + f"{FORGED}\n" * 100 + "bye",
        "hi\n" + ".\n" * 20_000 + "bye",
        f"\n\n\n{FORGED}\n\n",
    ],
)
def test_a_memo_with_line_breaks_is_one_cell_of_its_row(tmp_path: Path, by: By, memo: str, end: str) -> None:
    path = with_row(tmp_path, f'{ROW}"{memo}"')
    path.write_bytes(path.read_bytes().replace(b"\n", end.encode()))
    found = read(by, path, {}, COLUMNS)
    assert ids(found) == ["t-1", "t-2", "t-3"]
    assert [one.line for one in found] == [2, 3, 4 + memo.count("\n")]


@by_both
@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f'{ROW}"caf\xe9\n{FORGED}\nbye"'.encode("latin-1"), "the text is not utf-8"),
        (f'{ROW}"hi\n{FORGED}\ncaf\xe9"'.encode("latin-1"), "the text is not utf-8"),
        (f'{ROW}"hi\n{FORGED}\n'.encode() + b'\xf0\x9f\x92"', "the text is not utf-8"),
        (f'{ROW}"hi\x00\n{FORGED}\nbye"'.encode(), "a NUL character is in it"),
        (f'{ROW}"hi\n{FORGED}\nbye",surplus'.encode(), "7 columns, the header has 6"),
        (f'{ROW}"hi\n{FORGED}\nbye","more\n{FORGED}\n"'.encode(), "7 columns, the header has 6"),
        (f't-2,mallory,1.00,EUR,"hi\n{FORGED}\nbye"'.encode(), "5 columns, the header has 6"),
        (f'{ROW}"hi "friend\n{FORGED}\nbye"'.encode(), "a quote or a line break stands where none may"),
        (f'{ROW}"hi" friend\n{FORGED}\nbye"'.encode(), "a quote or a line break stands where none may"),
        (f'{ROW} "hi "friend\n{FORGED}\nbye" '.encode(), "a quote or a line break stands where none may"),
        (
            f'{ROW}"hi\n{FORGED}\n{"x" * RECORD_BYTES_MAX}\n{FORGED}\nbye"'.encode(),
            "is longer than 65536 bytes",
        ),
        (f'{ROW}"{"x" * (3 * BLOCK_BYTES)}\n{FORGED}\nbye"'.encode(), "is longer than 65536 bytes"),
        (f'{ROW}"hi\n{"x" * (3 * BLOCK_BYTES)}""\n{FORGED}\nbye"'.encode(), "is longer than 65536 bytes"),
        (f'{ROW}"{(FORGED + chr(10)) * 9_000}"'.encode(), "is longer than 65536 bytes"),
    ],
    ids=range(14),
)
def test_a_bad_row_is_bad_to_the_end_of_its_quotes(tmp_path: Path, by: By, row: bytes, reason: str) -> None:
    found = read(by, with_row(tmp_path, row), {}, COLUMNS)
    assert ids(found) == ["t-1", "t-3"]
    [one] = bad(found)
    last = 3 + row.count(b"\n")
    assert (one.line, reason in one.reason) == (3, True), one.reason
    assert f"its quotes hold the lines 3 to {last}, {last - 2:,} lines" in one.reason
    assert one.raw.startswith("t-2,mallory,1.00,EUR,")


@by_both
@pytest.mark.parametrize(
    ("row", "opened"),
    [
        (f'{ROW}"never closed', 3),
        (f'{ROW}"never closed\n{FORGED}', 3),
        (f'{ROW}"closed\n\n"', None),
        (f't-2,"mal\nlory",1.00,EUR,2026-01-02T00:00:00Z,"never closed\n{FORGED}', 4),
        (f'{ROW}"even ""\n{FORGED}\n""', 3),
        (f'{ROW}"{"x" * (3 * BLOCK_BYTES)}\n{FORGED}', 3),
    ],
)
def test_a_quote_that_nobody_closes_holds_the_rest_and_says_where_it_began(
    tmp_path: Path, by: By, row: str, opened: int | None
) -> None:
    path = with_row(tmp_path, row, LAST * 50_000)
    found = read(by, path, {}, COLUMNS)
    if opened is None:
        assert len(ids(found)) == 50_002
        return
    assert ids(found) == ["t-1"]
    [one] = bad(found)
    lines = 50_000 + row.count("\n") + 3
    assert one.line == 3
    assert f"the quote that is opened in line {opened} is not closed" in one.reason
    assert f"the {lines - opened + 1:,} lines from there on are this one record" in one.reason


@by_both
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_each_delimiter_has_its_quotes(tmp_path: Path, by: By, delimiter: str) -> None:
    path = with_row(tmp_path, f'{ROW}"hi\n{FORGED}\nb{delimiter}ye"')
    text = path.read_text().replace(",", delimiter)
    path.write_text(text)
    assert ids(read(by, path, {"delimiter": delimiter}, COLUMNS)) == ["t-1", "t-2", "t-3"]


@by_both
def test_quotes_inside_of_a_cell_without_quotes_are_letters(tmp_path: Path, by: By) -> None:
    found = read(by, with_row(tmp_path, f'{ROW}a 12" record'), {}, COLUMNS)
    assert ids(found) == ["t-1", "t-2", "t-3"]


@by_both
def test_a_file_that_quotes_nothing_may_say_so(tmp_path: Path, by: By) -> None:
    path = with_row(tmp_path, f'{ROW}"never closed')
    assert ids(read(by, path, {"quotes": "none"}, COLUMNS)) == ["t-1", "t-2", "t-3"]
    path = with_row(tmp_path, f'{ROW}"closed", not'.replace(",", "\t"))
    path.write_text(path.read_text().replace(",", "\t"))
    [one] = bad(read(by, path, {"quotes": "none", "delimiter": "\t"}, COLUMNS))
    assert "7 columns" in one.reason


@by_both
def test_a_header_may_have_line_breaks_where_its_quotes_do(tmp_path: Path, by: By) -> None:
    path = tmp_path / "memo.csv"
    path.write_text(HEADER.replace("memo", f'"memo\n{FORGED}\n(free text)"') + FIRST + LAST)
    assert ids(read(by, path, {}, COLUMNS)) == ["t-1", "t-3"]


@by_both
def test_a_mark_of_utf_8_a_last_line_without_end_and_lone_returns(tmp_path: Path, by: By) -> None:
    path = with_row(tmp_path, f'{ROW}"hi\n{FORGED}\nbye"', LAST.strip())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert ids(read(by, path, {}, COLUMNS)) == ["t-1", "t-2", "t-3"]
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r"))
    assert ids(read(by, path, {}, COLUMNS)) == ["t-1", "t-2", "t-3"]


MEMOS = st.lists(
    st.sampled_from(
        [FORGED, "\n", "\r\n", '"', ",", " ", "caf\u00e9", "x", f"\n{FORGED}\n", '",', '"\n', ""]
    ),
    max_size=8,
).map("".join)
DAMAGE = st.sampled_from([b"", b"\xff", b"\x00", b",", b"x" * RECORD_BYTES_MAX])
ANY_FOLDER = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(
    memos=st.lists(st.tuples(MEMOS, DAMAGE, st.booleans()), min_size=1, max_size=6),
    rows_max=st.integers(1, 4),
)
@ANY_FOLDER
def test_what_a_writer_of_csv_wrote_is_what_is_read(
    tmp_path: Path, memos: list[tuple[str, bytes, bool]], rows_max: int
) -> None:
    """Python's own writer, any memo, and damage inside of it: its rows, and no other."""
    content, wanted, broken = [HEADER.encode()], [], 0
    for number, (memo, damage, lf_only) in enumerate(memos):
        file = io.StringIO(newline="")
        end = "\n" if lf_only else "\r\n"
        writer = csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL)
        writer.writerow((f"t-{number}", "ada", "1.00", "EUR", "2026-01-02T00:00:00Z", "<" + memo))
        written = file.getvalue().encode()
        content.append(written.replace(b"<", damage, 1))
        if damage in (b"", b","):
            wanted.append(f"t-{number}")
        else:
            broken += 1
    path = tmp_path / "memo.csv"
    path.write_bytes(b"".join(content))
    for by in BOTH:
        found = read(by, path, {}, COLUMNS, rows_max=rows_max)
        assert ids(found) == wanted
        assert len(bad(found)) == broken


LETTERS = st.text(alphabet='",; \rax', max_size=40)


@given(line=LETTERS, cuts=st.lists(st.integers(0, 40), max_size=4), is_open=st.booleans())
def test_a_line_in_pieces_is_the_line(line: str, cuts: list[int], is_open: bool) -> None:
    whole = Quotes(b",", is_open=is_open)
    whole.feed(line.encode())
    places = [0, *sorted(min(cut, len(line)) for cut in cuts), len(line)]
    pieces = Quotes(b",", is_open=is_open)
    for begin, end in pairwise(places):
        pieces.feed(line[begin:end].encode())
    assert (pieces.is_open, pieces.opened) == (whole.is_open, whole.opened)


@given(line=LETTERS.filter(lambda line: "\r" not in line))
def test_well_formed_text_is_judged_as_the_module_csv_does(line: str) -> None:
    quotes = Quotes(b",", is_open=False)
    quotes.feed(line.encode())
    try:
        list(csv.reader([line], strict=True, skipinitialspace=True))
    except csv.Error as error:
        ends_open = "unexpected end" in str(error)
    else:
        ends_open = False
    assert quotes.is_open or not ends_open
    assert not quotes.is_open or is_refused(line)


def is_refused(line: str) -> bool:
    try:
        list(csv.reader([line], strict=True, skipinitialspace=True))
    except csv.Error:
        return True
    return False


@pytest.mark.parametrize("rows_max", [1, 2, 3])
def test_every_cursor_stands_between_two_records(tmp_path: Path, rows_max: int) -> None:
    rows = f'{ROW}"hi\n{FORGED}\nbye"\n' + f'{ROW}"a\n{FORGED}\n","b"\n'
    path = with_row(tmp_path, rows + rows.replace("hi", "caf\xe9").encode("latin-1").decode("latin-1"))
    mapping = legacy_mapping({"unit": "major", "reason": "history", "columns": COLUMNS}, "postings")
    content = path.read_bytes()
    for page in pages(FileSource(path, "csv", mapping, "postings"), rows_max):
        before = content[: page.after["offset"]]
        assert before.count(b'"') % 2 == 0
        assert before.count(b"\n") == page.after["line"]
        assert set(page.after) == {"offset", "line", "size", "mtime_ns"}


def test_a_cursor_that_an_older_version_kept_goes_on(tmp_path: Path) -> None:
    path = with_row(tmp_path, f'{ROW}"hi\n{FORGED}\nbye"')
    stat = path.stat()
    after = {"offset": len(HEADER + FIRST), "line": 2, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    mapping = legacy_mapping({"unit": "major", "reason": "history", "columns": COLUMNS}, "postings")
    page = FileSource(path, "csv", mapping, "postings").page(after, 5)
    assert [(row.row_id, row.line, page.is_last) for row in page.rows] == [("t-2", 3, True), ("t-3", 6, True)]
