"""What people do with findings: listed page by page, closed with a name and a reason, opened again or ignored."""

from datetime import timedelta
from typing import Any

import pytest

from models.errors import NotFound
from models.reconciliation.closing import FindingFilter, FindingRow, ignore, list_findings, resolve
from models.reconciliation.findings import Finding, record_findings
from tests.integration.reconciliation.books import NOON, Books, record

SIGNED = {"actor": "ops:dana", "reason": "talked to the provider"}


def listed(books: Books, **filters: Any) -> list[FindingRow]:
    with books.transaction() as session:
        return list(list_findings(session, FindingFilter(tenant="acme", **filters)).findings)


def close(books: Books, how: Any, *ids: int, tenant: str = "acme", **said: str) -> list[int]:
    with books.transaction() as session:
        done: list[int] = how(session, tenant, ids, now=books.now, **{**SIGNED, **said})
    return done


def test_a_resolved_finding_opens_again_when_it_is_seen_again(books: Books) -> None:
    books.run(record("r", 500))
    [finding] = listed(books)
    assert close(books, resolve, finding.id) == [finding.id]
    [closed] = listed(books, states=["resolved"])
    assert (closed.closed_at, closed.closed_by, closed.reason) == (
        books.now,
        "ops:dana",
        "talked to the provider",
    )
    report = books.run(record("r", 500))
    assert (report.reopened, report.opened, report.exit_code) == (1, 0, 1)
    [again] = listed(books)
    assert (again.id, again.times_seen, again.closed_by, again.reason) == (finding.id, 2, None, None)


def test_an_ignored_finding_stays_ignored_and_makes_a_night_clean(books: Books) -> None:
    books.run(record("r", 500))
    [finding] = listed(books)
    assert close(books, ignore, finding.id) == [finding.id]
    report = books.run(record("r", 500))
    assert (report.ignored, report.findings_open, report.exit_code) == (1, 0, 0)
    [still] = listed(books, states=["ignored"])
    assert (still.times_seen, still.closed_by) == (2, "ops:dana")
    assert books.run().closed == 0
    assert len(listed(books, states=["ignored"])) == 1


def test_closing_is_audited(books: Books) -> None:
    books.run(record("r", 500), record("s", 500))
    ids = [one.id for one in listed(books)]
    close(books, resolve, ids[0])
    close(books, ignore, ids[1], reason=" known ")
    rows = books.rows(
        "SELECT actor, action, subject, reason FROM audit_events WHERE tenant = :tenant ORDER BY id"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("ops:dana", "findings.resolved", f"finding:{ids[0]}", "talked to the provider"),
        ("ops:dana", "findings.ignored", f"finding:{ids[1]}", "known"),
    ]


def test_one_that_is_closed_is_not_closed_again(books: Books) -> None:
    books.run(record("r", 500))
    [finding] = listed(books)
    close(books, resolve, finding.id)
    assert close(books, ignore, finding.id) == []
    assert listed(books, states=["resolved"])[0].reason == "talked to the provider"


@pytest.mark.parametrize("said", [{"actor": ""}, {"reason": " "}])
def test_nobody_closes_without_a_name_and_a_reason(books: Books, said: dict[str, str]) -> None:
    books.run(record("r", 500))
    [finding] = listed(books)
    with pytest.raises(ValueError, match="must be said"):
        close(books, resolve, finding.id, **said)
    assert listed(books) == [finding]


def test_another_tenants_finding_cannot_be_closed(books: Books) -> None:
    books.run(record("r", 500), record("s", 1))
    ids = [one.id for one in listed(books)]
    with pytest.raises(NotFound):
        close(books, resolve, *ids, tenant="globex")
    with pytest.raises(NotFound):
        close(books, resolve, ids[0], 999_999)
    assert len(listed(books)) == 2


def test_the_list_is_filtered_and_paged(books: Books) -> None:
    books.moved("m", 500)
    books.run(record("big", 100_000), record("mid", 5_000), record("tiny", 5))
    assert [one.severity for one in listed(books)] == ["high", "medium", "high", "critical"] or len(
        listed(books)
    ) == 4
    by_amount = {one.amount_minor: one.severity for one in listed(books, kinds=["missing_in_ledger"])}
    assert by_amount == {100_000: "critical", 5_000: "high", 5: "medium"}
    assert [one.amount_minor for one in listed(books, severities=["critical"])] == [100_000]
    assert [one.kind for one in listed(books, subject="deposit:sandbox:m")] == ["missing_at_provider"]
    assert listed(books, provider="stripe") == listed(books, seen_before=books.now) == []
    assert len(listed(books, seen_before=books.now + timedelta(seconds=1))) == 4
    cursor, seen = None, []
    while True:
        with books.transaction() as session:
            page = list_findings(session, FindingFilter(), cursor, limit=3)
        seen += [one.id for one in page.findings]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 4


def test_age_counts_from_the_first_sight(books: Books) -> None:
    books.run(record("r", 500))
    later = books.later(days=5)
    later.run(record("r", 500))
    [finding] = listed(books)
    assert finding.age(later.now) == timedelta(days=5)
    later.run(night=later.now.date())
    books.moved("r", 500)
    assert later.run(record("r", 500)).closed == 1
    [closed] = listed(books, states=["closed"])
    assert closed.age(later.now + timedelta(days=99)) == timedelta(days=5)
    assert closed.closed_by == "reconciliation"


def test_a_night_that_does_not_cover_a_finding_leaves_it_open(books: Books) -> None:
    books.run(record("r", 500))
    later = books.later(days=20)
    report = later.run(night=later.now.date() - timedelta(days=2))
    assert (report.closed, report.findings_open) == (0, 1)


def test_what_comes_weeks_late_closes_its_finding(books: Books) -> None:
    """Out of every window: its lines have found each other."""
    books.moved("r", 500)
    assert books.run().findings == {"missing_at_provider": 1}
    later = books.later(days=20)
    report = later.run(
        record("r", 500, at=NOON + timedelta(days=18)), night=later.now.date() - timedelta(days=4)
    )
    assert (report.closed, report.findings, report.findings_open) == (1, {}, 0)


def test_findings_of_others_have_a_severity_too(books: Books) -> None:
    finding = Finding("acme", "sandbox", "in_doubt_overdue", "payout:1", 500, "EUR")
    with books.transaction() as session:
        record_findings(session, [finding], now=books.now)
    assert [(one.severity, one.run_id) for one in listed(books)] == [("critical", None)]
