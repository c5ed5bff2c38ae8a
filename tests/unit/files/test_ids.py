"""Ids of rows: what a spreadsheet left of them, several columns, and digests of rows that have none."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.backfills.sources.legacy import pages
from tests.unit.files.reading import BOTH, By, Good, bad, good, ids, read
from worker.files import ids as ids_module
from worker.files.cells import is_mangled
from worker.files.errors import SourceFailed
from worker.files.ids import joined
from worker.sources.files import FileSource
from worker.sources.mapping import legacy_mapping

COLUMNS: dict[str, Any] = {
    "id": "Id",
    "owner": "Owner",
    "amount": "Amount",
    "occurred_at": "At",
    "reference": "Ref",
}
HEADER = "Id,Owner,Amount,At,Ref,Type\n"
AT = "2026-11-21T10:00:00Z"
EUR: dict[str, Any] = {"currency": "EUR"}
by_both = pytest.mark.parametrize("by", BOTH)

MANGLED = [
    "8.82E+15", "8,82E+15", "1,23E+10", "1.23e+10", "1E+15", "-8.8E+15", "1.2E-05", "8.82E+100", "#REF!", "#N/A",
    "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "#####", "##", "#BEZUG!", "#NV", "#DE\u011eER!", "#NOM?",
    "Err:502", "8814689190961342.0",
]  # fmt: skip
SOUND = [
    "12E5", "8E15", "1E15", "12E+5X", "0x12E+15", "E+15", "A1.2E+15", "8.82", "#1001", "#A-1", "#", "1.2.3", "order#1!",
    "2E5-4F", "1E1234", "881468919096134200", "N/A", "REF!", "Err:", "12.5E15", "7e3f0a", "12.0",
]  # fmt: skip


@pytest.mark.parametrize("value", MANGLED)
def test_what_a_spreadsheet_made_of_an_id_is_known(value: str) -> None:
    assert is_mangled(value)


@pytest.mark.parametrize("value", SOUND)
def test_ids_that_only_look_odd_are_ids(value: str) -> None:
    assert not is_mangled(value)


def columns_of(by: By, columns: dict[str, Any]) -> dict[str, Any]:
    """A backfill has no reference, and a record no owner."""
    return {key: value for key, value in columns.items() if key != "reference" or by == "night"}


def written(folder: Path, *rows: str) -> Path:
    path = folder / "rows.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


@by_both
@pytest.mark.parametrize("value", MANGLED)
def test_mangled_ids_are_bad_rows_and_never_one_record(tmp_path: Path, by: By, value: str) -> None:
    quoted = f'"{value}"'
    rows = [f"{quoted},ada,{amount},{AT},order-{amount},SALE" for amount in (25, 40, 60)]
    found = read(by, written(tmp_path, *rows, f"r-1,ada,5,{AT},order-1,SALE"), EUR, columns_of(by, COLUMNS))
    assert ids(found) == ["r-1"]
    assert [one.line for one in bad(found)] == [2, 3, 4]
    assert {"what a spreadsheet made of one" in one.reason for one in bad(found)} == {True}
    assert not any(value in one.reason for one in bad(found))


@by_both
@pytest.mark.parametrize("value", ["8.82E+15", "#REF!"])
def test_mangled_references_and_owners_are_bad_rows(tmp_path: Path, by: By, value: str) -> None:
    found = read(by, written(tmp_path, f"r-1,{value},5,{AT},{value},SALE"), EUR, columns_of(by, COLUMNS))
    assert ids(found) == []
    assert "what a spreadsheet made of one" in bad(found)[0].reason


@by_both
@pytest.mark.parametrize("value", ["12E5", "#1001", "2E5-4F"])
def test_odd_ids_are_read(tmp_path: Path, by: By, value: str) -> None:
    assert ids(
        read(by, written(tmp_path, f"{value},ada,5,{AT},{value},SALE"), EUR, columns_of(by, COLUMNS))
    ) == [value]


@by_both
@pytest.mark.parametrize("cell", ['="0034"', '"=""0034"""'])
def test_a_formula_of_a_text_is_that_text(tmp_path: Path, by: By, cell: str) -> None:
    """So a spreadsheet is kept from taking the id for a number."""
    [one] = good(
        read(by, written(tmp_path, f"{cell},{cell},5,{AT},{cell},SALE"), EUR, columns_of(by, COLUMNS))
    )
    assert one.id == "0034"


@by_both
def test_a_mangled_id_is_one_in_a_formula_too(tmp_path: Path, by: By) -> None:
    found = read(by, written(tmp_path, f'="8.82E+15",ada,5,{AT},r,SALE'), EUR, columns_of(by, COLUMNS))
    assert "what a spreadsheet made of one" in bad(found)[0].reason


@by_both
def test_an_id_may_be_of_several_columns(tmp_path: Path, by: By) -> None:
    """A transfer and the charge for it have one id, and two types."""
    path = written(
        tmp_path, f"TR-1,ada,-357.38,{AT},w1,DEBIT", f"TR-1,ada,-11.35,{AT},,FEE", f"TR-1,ada,1,{AT},,",
        f",ada,1,{AT},,FEE", f"a:b,ada,1,{AT},,c", f"a,ada,1,{AT},,b:c", f"a\\,ada,1,{AT},,b",
    )  # fmt: skip
    found = read(by, path, EUR, columns_of(by, COLUMNS) | {"id": ["Id", "Type"]})
    assert ids(found) == ["TR-1:DEBIT", "TR-1:FEE", "a\\:b:c", "a:b\\:c", "a\\\\:b"]
    assert [(one.line, "is empty" in one.reason) for one in bad(found)] == [(4, True), (5, True)]


@by_both
def test_an_id_of_several_columns_that_is_too_long_is_bad(tmp_path: Path, by: By) -> None:
    found = read(
        by,
        written(tmp_path, f"{'x' * 150},ada,1,{AT},,{'y' * 150}"),
        EUR,
        columns_of(by, COLUMNS) | {"id": ["Id", "Type"]},
    )
    assert "is not a printable text of at most" in bad(found)[0].reason


@by_both
def test_json_lines_have_ids_of_several_fields_too(tmp_path: Path, by: By) -> None:
    path = tmp_path / "rows.jsonl"
    line = f'{{"Id": 7, "Owner": "ada", "Amount": 1.50, "At": "{AT}", "Ref": "r", "Type": {{"name": "FEE"}}}}'
    path.write_text(line + "\n")
    found = read(by, path, EUR, columns_of(by, COLUMNS) | {"id": ["Id", "Type.name"]}, format_="jsonl")
    assert [(one.id, one.amount_minor) for one in good(found)] == [("7:FEE", 150)]


@given(
    left=st.lists(st.text(":\\ab", max_size=4), max_size=4),
    right=st.lists(st.text(":\\ab", max_size=4), max_size=4),
)
def test_two_lists_of_cells_are_never_one_id(left: list[str], right: list[str]) -> None:
    if len(left) == len(right) and left != right:
        assert joined(left) != joined(right)


DIGESTS: dict[str, Any] = {"currency": "EUR", "digest_of": ["At", "Amount", "Ref"]}
SAME = f",ada,5.00,{AT},rent,A"
ROWS = (SAME, f",ada,6.00,{AT},rent,B", SAME, f',ada,5.00,{AT},"rent\n",C', f",bob,5.00,{AT},,D", SAME)


def of_digests(by: By, path: Path, rows_max: int = 1000, format_: Any = "csv") -> list[Good]:
    columns = columns_of(by, COLUMNS) | {"id": "digest"}
    return good(read(by, path, DIGESTS, columns, rows_max=rows_max, format_=format_))


@by_both
@pytest.mark.parametrize("rows_max", [1, 2, 1000])
def test_rows_without_an_id_are_told_apart_by_a_digest_and_equal_ones_by_their_number(
    tmp_path: Path, by: By, rows_max: int
) -> None:
    found = [one.id for one in of_digests(by, written(tmp_path, *ROWS), rows_max)]
    first = found[0]
    assert (len(first), len(set(found))) == (32, 6)
    assert [one.removeprefix(first) for one in found] == ["", found[1], ":2", ":3", found[4], ":4"]
    assert [one.id for one in of_digests(by, written(tmp_path, *ROWS), rows_max)] == found


@by_both
def test_a_file_that_is_sent_again_with_more_rows_says_the_same_ids(tmp_path: Path, by: By) -> None:
    before = [one.id for one in of_digests(by, written(tmp_path, *ROWS))]
    more = written(tmp_path, *ROWS, f",ada,7.00,{AT},new,E", SAME)
    assert [one.id for one in of_digests(by, more)][: len(before)] == before
    assert [one.id for one in of_digests(by, more)][-1] == f"{before[0]}:5"


@by_both
def test_rows_that_cannot_be_read_do_not_move_the_numbers_of_others(tmp_path: Path, by: By) -> None:
    columns = columns_of(by, COLUMNS) | {"id": "digest"}
    rows = (SAME, f"x,ada,5.00,{AT},rent", f",ada,5.00,{AT},rent\x00,A", SAME)
    found = read(by, written(tmp_path, *rows), DIGESTS, columns)
    first, second = ids(found)
    assert (second, len(bad(found))) == (f"{first}:2", 2)


@by_both
def test_lines_of_json_have_digests_too(tmp_path: Path, by: By) -> None:
    line = f'{{"Owner": "ada", "Amount": 5.00, "At": "{AT}", "Ref": "rent"}}'
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{line}\n{line}\n")
    first, second = (one.id for one in of_digests(by, path, format_="jsonl"))
    assert second == f"{first}:2"


def test_a_page_from_any_cursor_says_the_same_ids(tmp_path: Path) -> None:
    mapping = legacy_mapping(
        {"unit": "major", "reason": "history", "columns": columns_of("backfill", COLUMNS) | {"id": "digest"}}
        | DIGESTS,
        "postings",
    )
    path = written(tmp_path, *ROWS)
    whole = [
        row.row_id for page in pages(FileSource(path, "csv", mapping, "postings"), 100) for row in page.rows
    ]
    after = None
    for number in range(len(ROWS)):
        page = FileSource(path, "csv", mapping, "postings").page(after, 1)
        assert page.rows[0].row_id == whole[number]
        after = page.after


@by_both
def test_more_rows_without_an_id_than_can_be_told_apart_are_refused(
    tmp_path: Path, by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids_module, "DIGEST_ROWS_MAX", 5)
    with pytest.raises(SourceFailed, match="has more than 5 rows without an id: split it"):
        of_digests(by, written(tmp_path, *ROWS))


@by_both
def test_a_column_may_be_called_digest_and_digests_need_their_columns(tmp_path: Path, by: By) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"digest,Owner,Amount,At\nd-1,ada,5,{AT}\n")
    columns = {key: value for key, value in COLUMNS.items() if key != "reference"} | {"id": "digest"}
    assert ids(read(by, path, EUR, columns)) == ["d-1"]
    with pytest.raises(
        (SourceFailed, ValueError), match=r'digest_of needs (columns\.id|record_id) = "digest"'
    ):
        read(by, path, EUR | {"digest_of": ["Amount"]}, columns | {"id": "Owner"})
