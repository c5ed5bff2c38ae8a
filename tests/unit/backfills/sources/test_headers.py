"""The line that names a CSV file's columns: those without a name count, and a line without any is none."""

from pathlib import Path

import pytest

from tests.unit.backfills.sources.legacy import HEADER, everything, posting, source, told, written
from worker.sources.port import SourceFailed

ROW = b"1,p1,1.00,EUR,2024-01-01T00:00:00Z\n"
every_delimiter = pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])


@every_delimiter
@pytest.mark.parametrize("last", ["{0}", " {0}", "{0} ", '{0}""', "{0}{0}", " "])
@pytest.mark.parametrize("first", ["", "{0}", " "])
def test_columns_without_a_name_are_columns_all_the_same(
    tmp_path: Path, delimiter: str, first: str, last: str
) -> None:
    """An export's index before the others, or a delimiter behind the last of them."""
    begins, ends = first.format(delimiter), last.format(delimiter)
    lines = [f"{begins}{line.decode().strip().replace(',', delimiter)}{ends}" for line in (HEADER, ROW)]
    content = "".join(f"{line}\n" for line in lines).encode()
    found = source(written(tmp_path, content), told(delimiter=delimiter))
    assert [posting(row).row_id for row in everything(found)] == ["1"]
    assert found.header() == lines[0].strip(" ")


@every_delimiter
def test_a_line_of_delimiters_alone_is_no_header(tmp_path: Path, delimiter: str) -> None:
    """Spreadsheets save the empty rows above a table so."""
    blank = f"{delimiter * 4}\r\n {delimiter} \r\n".encode()
    table = (HEADER + ROW).replace(b",", delimiter.encode())
    [row] = everything(source(written(tmp_path, blank + table), told(delimiter=delimiter)))
    assert (posting(row).row_id, row.line) == ("1", 4)


@every_delimiter
def test_delimiters_alone_are_an_empty_file(tmp_path: Path, delimiter: str) -> None:
    path = written(tmp_path, f"{delimiter * 4}\n".encode() * 3)
    with pytest.raises(SourceFailed, match="is empty: not even a header"):
        source(path, told(delimiter=delimiter)).check()


@every_delimiter
def test_a_row_is_not_taken_for_a_header(tmp_path: Path, delimiter: str) -> None:
    path = written(tmp_path, f"{delimiter * 4}\n".encode() + ROW.replace(b",", delimiter.encode()))
    with pytest.raises(SourceFailed, match="the header lacks id, owner, amount, currency, at"):
        source(path, told(delimiter=delimiter)).check()
