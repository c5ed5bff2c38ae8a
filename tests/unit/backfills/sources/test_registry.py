"""Which source a run reads, and that what it was told stays with it."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.unit.backfills.sources.legacy import BASE, HEADER, told, written
from worker.settings import TenantSettings
from worker.sources.configured import BackfillSettings
from worker.sources.files import FileSource
from worker.sources.mapping import LegacyMapping
from worker.sources.port import SourceChanged, SourceFailed
from worker.sources.registry import check_source, read_mapping, row_source, settled
from worker.sources.sql import SqlSource

ROW = b"1,p1,1.00,EUR,2024-01-01T00:00:00Z\n"
PASSWORD = "hunter2-of-the-older-wallet"


def acme(folder: Path, **mapping: Any) -> TenantSettings:
    read = LegacyMapping(**told(**mapping))
    return TenantSettings(
        name="acme",
        backfills={
            "history": BackfillSettings(path=str(folder / "legacy.csv"), format="csv", mapping=read),
            "wallet": BackfillSettings(
                url=SecretStr(f"postgresql://u:{PASSWORD}@old.example/w"),
                query="SELECT 1",
                key="id",
                mapping=read,
            ),
        },
    )


def own(path: Path, **more: Any) -> dict[str, Any]:
    return {"type": "file", "path": str(path), "mapping": dict(BASE), **more}


def test_a_file_of_an_operator_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + ROW)
    check_source(acme(tmp_path), own(path), "postings")
    assert len(row_source(acme(tmp_path), own(path), "postings").page(None, 5).rows) == 1


@pytest.mark.parametrize(
    ("name", "format_"), [("a.csv", "csv"), ("a.TSV", "csv"), ("a.jsonl", "jsonl"), ("a.ndjson", "jsonl")]
)
def test_a_files_name_may_tell_its_format(tmp_path: Path, name: str, format_: str) -> None:
    assert settled(acme(tmp_path), own(tmp_path / name), "postings")["format"] == format_
    assert settled(acme(tmp_path), own(tmp_path / "x.csv", format="jsonl"), "postings")["format"] == "jsonl"


def test_a_source_of_the_settings_is_read_by_its_name(tmp_path: Path) -> None:
    written(tmp_path, HEADER + ROW)
    named = {"type": "file", "name": "history"}
    check_source(acme(tmp_path), named, "postings")
    assert isinstance(row_source(acme(tmp_path), named, "postings"), FileSource)
    assert isinstance(row_source(acme(tmp_path), {"type": "sql", "name": "wallet"}, "postings"), SqlSource)


def test_what_was_settled_stays_whatever_the_settings_say_later(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + ROW)
    first = settled(acme(tmp_path), {"type": "file", "name": "history"}, "postings")
    stored = json.loads(json.dumps(first))
    later = acme(tmp_path, unit="minor", decimal_mark=",")
    assert settled(later, stored, "postings") == first
    (row,) = row_source(later, stored, "postings").page(None, 5).rows
    assert getattr(row, "amount_minor", None) == 100
    assert first["path"] == str(path)


def test_a_relative_path_is_the_same_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert settled(acme(tmp_path), own(Path("a.csv")), "postings")["path"] == str(tmp_path / "a.csv")


def test_no_secret_is_part_of_a_source(tmp_path: Path) -> None:
    assert PASSWORD not in json.dumps(settled(acme(tmp_path), {"type": "sql", "name": "wallet"}, "postings"))
    assert PASSWORD not in repr(acme(tmp_path))


def test_the_digest_of_a_run_is_held_against_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER + ROW)
    digest = row_source(acme(tmp_path), own(path), "postings").extent().digest
    assert row_source(acme(tmp_path), own(path), "postings", digest=digest).page(None, 5).is_last
    with pytest.raises(SourceChanged):
        row_source(acme(tmp_path), own(path), "postings", digest="0" * 64).page(None, 5)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ({}, "a source of rows is a file, or sql with the name"),
        ({"type": "events", "provider": "sandbox"}, "a source of rows is a file, or sql with the name"),
        ({"type": "sql"}, "a source of rows is a file, or sql with the name"),
        ({"type": "sql", "name": "history"}, "the source history is not of the type sql"),
        ({"type": "file", "name": "wallet"}, "the source wallet is not of the type file"),
        ({"type": "file", "name": "nothing"}, "set [tenants.acme.backfills.<name>] with path or url"),
        ({"type": "file", "name": ["history"]}, "set [tenants.acme.backfills.<name>] with path or url"),
        ({"type": "file", "mapping": dict(BASE)}, "a file needs path, or the name of a source"),
        ({"type": "file", "path": "/x.csv"}, "the mapping: unit: Field required"),
        ({"type": "file", "path": "/x.csv", "mapping": [1]}, "the mapping must be a table"),
        ({"type": "file", "path": "/x.txt", "mapping": dict(BASE)}, "set format, csv or jsonl"),
        (
            {"type": "file", "path": "/x.csv", "format": "xml", "mapping": dict(BASE)},
            "set format, csv or jsonl",
        ),
        (
            {"type": "file", "path": "/nowhere/x.csv", "mapping": dict(BASE)},
            "x.csv is not a file, or is not there",
        ),
    ],
)
def test_a_source_that_cannot_be_is_refused_before_the_run(
    tmp_path: Path, source: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SourceFailed) as raised:
        check_source(acme(tmp_path), source, "postings")
    assert sentence in str(raised.value)


def test_a_mapping_file_is_toml(tmp_path: Path) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text('unit = "major"\nreason = "history"\n[columns]\nid = "id"\n')
    assert read_mapping(path) == {"unit": "major", "reason": "history", "columns": {"id": "id"}}


@pytest.mark.parametrize("content", [b"unit = major", b"\xff\xfe", b"[columns\n"])
def test_a_mapping_file_that_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mapping.toml"
    path.write_bytes(content)
    with pytest.raises(SourceFailed, match=r"the mapping mapping\.toml is not TOML"):
        read_mapping(path)
    with pytest.raises(SourceFailed, match="cannot be read"):
        read_mapping(tmp_path / "nothing.toml")
