"""A file that was not read to its end: what it would tell is neither there nor missing until a night has it whole."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from models.reconciliation.matching import ALONE
from models.reconciliation.story import STORY, TAKES
from tasks.reconciliation import feeding
from tests.integration.crashes.points import Died
from tests.integration.reconciliation.books import NIGHT, NOON, Books, ToldFile, record
from tests.integration.reconciliation.generating import Connection
from tests.integration.reconciliation.test_at_once import waiting
from tests.integration.reconciliation.test_killed import dying
from tests.waiting import until
from worker.providers.records.port import BadRow, Record, Window

NEXT, NEXT_NOON = NIGHT + timedelta(days=1), NOON + timedelta(days=1)
BROKEN = "batch.csv, line 7: not UTF-8"


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four rows a chunk, where the product takes 10,000."""
    monkeypatch.setattr(feeding, "CHUNK_ROWS", 4)


@pytest.fixture
def first(books: Books) -> list[Record]:
    """Six deposits of the first night, in the ledger, and the file that tells them."""
    for n in range(6):
        books.moved(f"a{n}", 100 + n)
    return [record(f"a{n}", 100 + n) for n in range(6)]


@pytest.fixture
def second(books: Books) -> ToldFile:
    """The next night's file, which agrees with the ledger."""
    books.moved("b", 70, at=NEXT_NOON)
    return ToldFile([record("b", 70, at=NEXT_NOON)], digest="d2", name="next.csv")


def broken(told: Sequence[Record], rows: int) -> ToldFile:
    """It ends, unexpectedly, after so many rows."""
    return ToldFile(told[:rows], error=BROKEN)


@pytest.mark.parametrize("rows", [1, 4, 5, 6])
def test_what_a_broken_file_would_have_told_is_not_missing(
    books: Books, first: list[Record], second: ToldFile, rows: int
) -> None:
    assert books.run_from(broken(first, rows)).state == "failed"
    report = books.run_from(second, night=NEXT)
    assert (report.state, report.findings, report.expected, report.matched) == ("done", {}, 6, 1)
    assert report.adds_up
    whole = books.run_from(ToldFile(first))
    assert (whole.findings, whole.opened, whole.adds_up) == ({}, 0, True)
    assert books.run_from(second, night=NEXT).matched == 7
    assert books.findings("closed") == []


def test_what_is_missing_indeed_is_found_when_the_file_is_whole(
    books: Books, first: list[Record], second: ToldFile
) -> None:
    books.moved("lost", 9)
    books.run_from(broken(first, 5))
    assert books.run_from(second, night=NEXT).findings == {}
    assert books.run_from(ToldFile(first)).findings == {"missing_at_provider": 1}
    assert [one["detail"]["reference"] for one in books.findings()] == ["lost"]
    assert books.run_from(second, night=NEXT).findings == {"missing_at_provider": 1}


def test_a_night_that_was_whole_stays_so_when_it_is_run_again_and_breaks(
    books: Books, first: list[Record], second: ToldFile
) -> None:
    """Its earlier take is the feed until there is a better one."""
    books.moved("lost", 9)
    assert books.run_from(ToldFile(first)).findings == {"missing_at_provider": 1}
    assert books.run_from(broken(first, 5)).state == "failed"
    report = books.run_from(second, night=NEXT)
    assert (report.findings, report.matched, report.expected, report.closed) == (
        {"missing_at_provider": 1}, 7, 0, 0,
    )  # fmt: skip
    assert report.adds_up


def test_a_finding_of_before_stands_while_its_file_is_awaited(books: Books, second: ToldFile) -> None:
    """Opened by an earlier night, neither seen nor gone."""
    books.moved("lost", 9)
    assert books.run_from(ToldFile(), even_if_short=True).findings == {"missing_at_provider": 1}
    later = NEXT + timedelta(days=1)
    told = [record(f"c{n}", 5, at=NEXT_NOON + timedelta(days=1)) for n in range(5)]
    books.later(days=1).run_from(replace(broken(told, 5), digest="d3"), night=later)
    report = books.run_from(second, night=NEXT)
    assert (report.closed, report.findings_open, report.findings) == (0, 1, {})
    found = ToldFile([record("lost", 9), *second.items], digest="d4")
    assert books.run_from(found, night=NEXT).closed == 1


def test_what_a_broken_file_told_is_no_record(books: Books, first: list[Record], second: ToldFile) -> None:
    """Whoever told it: what the ledger lacks is a finding of the night that has it whole."""
    told = [record("alien", 5), *first]
    books.run_from(broken(told, 5))
    assert books.run_from(second, night=NEXT).findings == {}
    assert books.run_from(ToldFile(told)).findings == {"missing_in_ledger": 1}


def test_a_file_too_short_to_conclude_from_is_not_whole(books: Books, second: ToldFile) -> None:
    """Until a person says that it is."""
    told = [record(f"r{n}", 10) for n in range(24)]
    for n in range(24):
        books.moved(f"r{n}", 10)
    assert books.run_from(ToldFile(told[:10])).state == "truncated"
    report = books.run_from(second, night=NEXT)
    assert (report.findings, report.expected) == ({}, 24)
    assert books.run_from(ToldFile(told[:10]), even_if_short=True).findings == {"missing_at_provider": 14}
    assert books.run_from(second, night=NEXT).findings == {"missing_at_provider": 14}


def test_a_night_without_a_file_is_not_waited_for(books: Books, second: ToldFile) -> None:
    """A provider that sends none at the weekend would hide for ever what is missing."""
    books.moved("lost", 9)
    assert books.run_from(ToldFile(error="there is no report file")).state == "failed"
    assert books.run_from(second, night=NEXT).findings == {"missing_at_provider": 1}


def test_an_api_that_breaks_waits_for_nobody(books: Books, first: list[Record]) -> None:
    """Each night is told all of its window, so another night's pages are no part of it."""
    books.run(*first[:5])
    books.run_from(replace(broken(first, 5), digest=None), night=NIGHT)  # type: ignore[arg-type]
    report = books.run(*first[:5], night=NEXT)
    assert (report.findings, report.expected) == ({"missing_at_provider": 1}, 0)


@dataclass(kw_only=True)
class Pausing(ToldFile):
    """A file in whose midst something else happens."""

    act: Callable[[], object]

    def read(self, window: Window) -> Iterator[Record | BadRow]:
        for number, one in enumerate(super().read(window)):
            if number == 5:
                self.act()
            yield one


@pytest.mark.parametrize("again", [False, True])
def test_a_night_that_runs_meanwhile_sees_all_of_it_or_nothing(
    books: Books, first: list[Record], second: ToldFile, again: bool
) -> None:
    seen = []
    if again:
        books.run_from(ToldFile(first))
    told = Pausing(first, act=lambda: seen.append(books.run_from(second, night=NEXT)))
    assert books.run_from(told).findings == {}
    assert [(one.findings, one.expected, one.matched) for one in seen] == [
        ({}, 0, 7) if again else ({}, 6, 1)
    ]
    assert books.findings("closed") == []


def test_a_night_that_waited_sees_what_became_whole_meanwhile(
    books: Books, owner: Connection, first: list[Record], second: ToldFile
) -> None:
    """It had read its own file before the other night began."""
    with ThreadPoolExecutor(1) as pool:
        with books.transaction() as other:
            other.execute(ALONE, {"tenant": books.tenant, "provider": books.provider})
            night = pool.submit(books.run_from, second, night=NEXT)
            until(lambda: waiting(owner), what="a night that waits for the other")
            assert books.run_from(broken(first, 5)).state == "failed"
        report = night.result(60)
    assert (report.findings, report.expected, report.adds_up) == ({}, 6, True)


def test_killed_after_any_commit_it_is_whole_or_awaited(books: Books, engine: Engine) -> None:
    """One account per commit: the process dies there, the next night runs, and then this one again."""

    def night(of: Books) -> None:
        of.run_from(ToldFile([record(f"a{n}", 100 + n) for n in range(6)]))

    def posted(provider: str) -> Books:
        of = replace(books, provider=provider)
        for n in range(6):
            of.moved(f"a{n}", 100 + n)
        of.moved("b", 70, at=NEXT_NOON)
        return of

    watched = posted("watched")
    with dying(engine, None) as trail:
        night(watched)
    commits = [point for point in trail.points if point.label == "after COMMIT"]
    assert len(commits) > 5
    for number, point in enumerate(commits):
        again = posted(f"p{number}")
        with dying(engine, point), pytest.raises(Died):
            night(again)
        if staged(again):
            after = ToldFile([record("b", 70, at=NEXT_NOON)], digest="d2")
            report = again.later(minutes=1).run_from(after, night=NEXT)
            assert (report.findings, report.matched + report.expected) == ({}, 7), point
        night(again.later(minutes=12))
        assert (
            again.rows("SELECT id FROM reconciliation_findings WHERE provider = :p", p=again.provider) == []
        )
        assert staged(again) in (6, 7), point


def staged(books: Books) -> int:
    """So many rows lie in the database, whole or not."""
    [row] = books.rows("SELECT count(*) AS n FROM provider_records WHERE provider = :p", p=books.provider)
    return int(row["n"])


def test_takes_that_are_newer_than_the_statistics_are_not_planned_for_as_nothing(
    books: Books, owner: Connection
) -> None:
    """Or the lines in question would be held against each other one by one, for hours."""
    books.run(*(record(f"r{n}", 5) for n in range(1_000)))
    owner.execute(b"ANALYZE provider_records")
    condition = f"r.take_id = ANY(CAST({TAKES} AS bigint[]))"
    assert condition in STORY
    [row] = books.rows(
        f"EXPLAIN (FORMAT JSON) SELECT FROM provider_records r WHERE {condition}", takes=[98, 99]
    )
    assert row["QUERY PLAN"][0]["Plan"]["Plan Rows"] > 500


def test_what_was_superseded_or_broken_does_not_stay(books: Books, first: list[Record]) -> None:
    books.run_from(broken(first, 5))
    assert staged(books) == 4
    books.run_from(broken(first, 6))
    assert staged(books) == 4
    for _ in range(3):
        books.run_from(ToldFile(first))
        assert staged(books) == 6
    books.run_from(broken(first, 5))
    assert staged(books) == 6 + 4
    books.run_from(ToldFile(first))
    assert staged(books) == 6
