"""The id of a record that cannot be read: what a later run finds it by, where that much can be read."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.backfills.sources.legacy import (
    BASE,
    HEADER,
    bad,
    everything,
    opening,
    source,
    told,
    with_columns,
    written,
)
from worker.sources.port import RowKind

GOOD: dict[str, Any] = {
    "id": "7", "owner": "p1", "amount": "1.00", "currency": "EUR", "at": "2024-01-01T00:00:00Z",
}  # fmt: skip


def id_of(folder: Path, record: bytes, *, kind: RowKind = "postings", **more: Any) -> str | None:
    [found] = everything(source(written(folder, HEADER + record + b"\n"), kind=kind, **more))
    return bad(found).row_id


@pytest.mark.parametrize(
    ("record", "row_id"),
    [
        (b"7,,1.00,EUR,2024-01-01T00:00:00Z", "7"),
        (b"7,p1,x,EUR,2024-01-01T00:00:00Z", "7"),
        (b"7,p1,0,EUR,2024-01-01T00:00:00Z", "7"),
        (b"7,p1,1.00,XXX,2024-01-01T00:00:00Z", "7"),
        (b'" 7 ",p1,1.00,EUR,yesterday', "7"),
        (b",p1,1.00,EUR,2024-01-01T00:00:00Z", None),
        (b"7\x07,p1,1.00,EUR,2024-01-01T00:00:00Z", None),
        (b"7,p1,1.00,EUR", None),
        (b'7,"p1,1.00,EUR,2024-01-01T00:00:00Z', None),
        (b"7,\xff,1.00,EUR,2024-01-01T00:00:00Z", None),
        (b"7,p\x001,1.00,EUR,2024-01-01T00:00:00Z", None),
    ],
)
def test_of_a_record_of_csv(tmp_path: Path, record: bytes, row_id: str | None) -> None:
    assert id_of(tmp_path, record) == row_id


@pytest.mark.parametrize(
    ("record", "row_id"),
    [
        (b"7,p1,x,EUR,2024-01-01T00:00:00Z", "p1:EUR"),
        (b"7,p:1,1.00,USD,never", "p:1:USD"),
        (b"7,,1.00,EUR,2024-01-01T00:00:00Z", None),
        (b"7,p1,x,eur,2024-01-01T00:00:00Z", "p1:EUR"),
        (b"7,p1,x,euro,2024-01-01T00:00:00Z", None),
    ],
)
def test_of_a_balance_it_is_the_owner_and_the_currency(
    tmp_path: Path, record: bytes, row_id: str | None
) -> None:
    mapping = told(columns=with_columns(id=None))
    assert id_of(tmp_path, record, kind="opening_balances", mapping=mapping) == row_id


def test_a_balance_that_can_be_read_has_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + b"7,p:1,1.00,USD,2024-01-01T00:00:00Z\n")
    [found] = everything(source(path, told(columns=with_columns(id=None)), kind="opening_balances"))
    assert opening(found).row_id == "p:1:USD"


@pytest.mark.parametrize(
    ("changed", "row_id"),
    [
        ({"amount": "x"}, "7"),
        ({"owner": ["p1"]}, "7"),
        ({"at": 1.5}, "7"),
        ({"id": 7, "owner": {"is": "p1"}}, "7"),
        ({"id": 7.5}, None),
        ({"id": None, "owner": []}, None),
    ],
)
def test_of_a_json_line(tmp_path: Path, changed: dict[str, Any], row_id: str | None) -> None:
    content = json.dumps(GOOD | changed).encode()
    [found] = everything(source(written(tmp_path, content + b"\n"), BASE, format_="jsonl"))
    assert bad(found).row_id == row_id


@pytest.mark.parametrize("content", [b'{"id": "7"', b'["7"]', b'{"id": "7", "id": "8"}'])
def test_what_is_no_object_has_none(tmp_path: Path, content: bytes) -> None:
    [found] = everything(source(written(tmp_path, content + b"\n"), BASE, format_="jsonl"))
    assert bad(found).row_id is None
