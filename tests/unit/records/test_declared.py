"""Kinds that an account's settings declare."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.unit.records.reports import EVER, SETTLED, adyen_file, one_record, read
from worker.providers.records.declared import DeclaredKinds
from worker.providers.records.port import BadRow, Record, Window


class Rows:
    name, digest = "batch.csv", "d1"

    def __init__(self, *rows: Record | BadRow) -> None:
        self._rows = rows

    def read(self, window: Window) -> Iterator[Record | BadRow]:  # noqa: ARG002 - a source
        return iter(self._rows)


def test_only_the_kind_of_the_declared_types_changes(tmp_path: Path) -> None:
    sale = one_record(read("adyen_settlement", adyen_file(tmp_path, [SETTLED])))
    costs, bad = replace(sale, status="MiscCosts", kind="fee"), BadRow(3, "x", "y")
    source = DeclaredKinds(Rows(sale, costs, bad), {"MiscCosts": "ignore"})
    assert list(source.read(EVER)) == [sale, replace(costs, kind="ignore"), bad]


def test_a_file_stays_a_file() -> None:
    source = DeclaredKinds(Rows(), {})
    assert (source.name, source.digest) == ("batch.csv", "d1")
