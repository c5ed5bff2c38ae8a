"""The files: named so that no two runs share one, and each there whole or not at all."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from tasks.reconciliation.report import (
    FactsDoNotAddUp,
    FindingFacts,
    FindingGroup,
    report_paths,
    write_report,
)
from tests.unit.reconciliation.report import nights


def test_three_files_beside_each_other(tmp_path: Path) -> None:
    paths = write_report(nights.bad(), tmp_path / "new" / "folder")
    assert [path.name for path in (paths.html, paths.json, paths.csv)] == [
        "acme-stripe-2026-11-20.html", "acme-stripe-2026-11-20.json", "acme-stripe-2026-11-20.csv",
    ]  # fmt: skip
    assert sorted(path.name for path in paths.html.parent.iterdir()) == sorted(
        path.name for path in (paths.html, paths.json, paths.csv)
    )
    assert paths.html.read_text().startswith("<!doctype html>\n")
    assert json.loads(paths.json.read_text())["tenant"] == "acme"
    assert paths.csv.read_bytes().count(b"\r\n") == 44


@pytest.mark.parametrize("facts", [nights.clean(), nights.failed(), nights.hostile()])
def test_any_night_can_be_written_and_written_over(tmp_path: Path, facts: object) -> None:
    first = write_report(nights.bad(), tmp_path)
    second = write_report(facts, tmp_path)  # type: ignore[arg-type]
    assert first == second
    assert len(list(tmp_path.iterdir())) == 3


def test_strangers_cannot_read_it(tmp_path: Path) -> None:
    paths = write_report(nights.clean(), tmp_path)
    assert {path.stat().st_mode & 0o777 for path in (paths.html, paths.json, paths.csv)} == {0o640}


def test_two_runs_never_share_a_file() -> None:
    """Of all tenants and providers with names of up to four characters, every pair of which has another file."""
    names = [
        "".join(name) for length in (1, 2, 3, 4) for name in product("a-", repeat=length) if name[0] == "a"
    ]
    paths = [report_paths(tenant, provider, nights.DAY, Path()) for tenant in names for provider in names]
    assert len({path.html for path in paths}) == len(names) ** 2 == 225


def counted(findings: int) -> FindingGroup:
    return FindingGroup("fee_mismatch", "low", findings, nights.NOW)


def test_the_csv_has_those_that_are_only_counted(tmp_path: Path) -> None:
    facts = replace(nights.bad(), more=(counted(200), counted(100)))
    more = (nights.finding(number, "fee_mismatch") for number in range(1_000, 1_300))
    paths = write_report(facts, tmp_path, more=more)
    assert len(paths.csv.read_text().splitlines()) == 1 + 43 + 300


@pytest.mark.parametrize("handed", [299, 301])
def test_a_csv_that_lacks_some_is_not_written(tmp_path: Path, handed: int) -> None:
    before = write_report(nights.clean(), tmp_path)
    old = [path.read_bytes() for path in (before.html, before.json, before.csv)]
    more = (nights.finding(number, "fee_mismatch") for number in range(handed))
    with pytest.raises(FactsDoNotAddUp, match=f"300 further findings are counted, {handed} were handed over"):
        write_report(replace(nights.clean(), more=(counted(300),)), tmp_path, more=more)
    assert [path.read_bytes() for path in (before.html, before.json, before.csv)] == old
    assert len(list(tmp_path.iterdir())) == 3


def test_killed_in_the_middle_the_old_files_stay_and_nothing_else(tmp_path: Path) -> None:
    def broken() -> Iterator[FindingFacts]:
        yield nights.finding(1, "fee_mismatch")
        raise KeyboardInterrupt

    before = write_report(nights.bad(), tmp_path)
    old = before.csv.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write_report(replace(nights.bad(), more=(counted(2),)), tmp_path, more=broken())
    assert before.csv.read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 3
