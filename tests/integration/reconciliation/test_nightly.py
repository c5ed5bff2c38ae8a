"""A night from its message to its report: gaps filled, run once, told; and what stands around the run may fail."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from models.reconciliation.due import RunName
from models.reconciliation.runs import load_run, plan_run
from ops.sandbox.config import SandboxConfig
from tasks.reconciliation.completeness import fill_gaps
from tasks.reconciliation.nightly import run_due, run_night, source_of
from tests.integration.reconciliation.books import NIGHT, Books, Told, ToldFile, record
from tests.integration.reconciliation.desk import Shop
from tests.integration.sandbox.running import API_KEY, Sandbox, running_sandbox
from worker.database import Transaction
from worker.locks import NightLocks
from worker.providers.records.columns import RecordsSettings
from worker.providers.records.events import ListedEvent
from worker.providers.records.port import BadRow, SourceFailed, Window
from worker.settings import TenantSettings

NOBODY = NightLocks("redis://127.0.0.1:1/0")
"""Without Redis everybody has the lock."""
ACCOUNT = text(
    "INSERT INTO provider_accounts (tenant, provider, adapter, enabled) VALUES ('acme', 'sandbox', 'sandbox', true)"
)


class Taken:
    @contextmanager
    def held(self, _name: str, _seconds: float) -> Iterator[None]:
        yield None


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running_sandbox(SandboxConfig(api_key=API_KEY, settle_seconds=None)) as client:
        yield client


@pytest.fixture
def shop(transaction: Transaction, tenant: str, sandbox: Sandbox) -> Shop:
    with transaction() as session:
        session.execute(ACCOUNT)
    shop = Shop(transaction, tenant, datetime.now(UTC), sandbox)
    shop.policy(reconcile_grace_seconds=0)
    return shop


def due(shop: Shop) -> date:
    day = shop.today()
    with shop.transaction() as session:
        plan_run(session, "acme", "sandbox", day, due_at=datetime.now(UTC))
    return day


def row(shop: Books | Shop, day: date) -> Any:
    with shop.transaction() as session:
        found = load_run(session, "acme", "sandbox", day)
    assert found is not None
    return found


def test_a_due_night_is_run_once_and_its_report_is_noted(shop: Shop, tmp_path: Path) -> None:
    shop.sells("order-1", 100)
    shop.hears()
    day = due(shop)
    told = run_due(shop.hands(tmp_path), NOBODY, "acme", "sandbox", day)
    assert told is not None
    assert (told.report.exit_code, told.problem) == (0, None)
    assert row(shop, day)["report_path"] == str(next(tmp_path.glob("*.html")))
    assert run_due(shop.hands(tmp_path), NOBODY, "acme", "sandbox", day) is None
    assert row(shop, day)["revision"] == 1


def test_who_has_not_the_lock_or_not_the_account_leaves_it_alone(shop: Shop, tmp_path: Path) -> None:
    day = due(shop)
    assert run_due(shop.hands(tmp_path), Taken(), "acme", "sandbox", day) is None
    assert run_due(shop.hands(tmp_path), NOBODY, "acme", "stripe", day) is None
    assert row(shop, day)["state"] == "pending"


def test_webhooks_that_never_came_become_their_jobs_once(shop: Shop, tmp_path: Path) -> None:
    shop.sells("order-1", 100)
    day = due(shop)
    later = replace(shop.hands(tmp_path), clock=lambda: datetime.now(UTC) + timedelta(minutes=11))
    told = run_due(later, NOBODY, "acme", "sandbox", day)
    assert told is not None
    assert told.sweep is not None
    assert (told.sweep.listed, told.sweep.missed, told.sweep.unreadable) == (1, 1, 0)
    assert row(shop, day)["counts"] | {"webhooks_listed": 1, "webhooks_missed": 1} == row(shop, day)["counts"]
    shop.drain()
    assert shop.rows("SELECT captured_minor FROM deposits") == [{"captured_minor": 100}]
    assert shop.hears().missed == 0
    [kept] = shop.rows("SELECT secret_index FROM webhook_deliveries")
    assert kept == {"secret_index": -1}
    [counted] = shop.rows("SELECT total FROM job_outcomes WHERE outcome = 'missed'")
    assert counted == {"total": 1}


def test_what_is_young_is_not_missed_yet(shop: Shop, tmp_path: Path) -> None:
    shop.sells("order-1", 100)
    told = run_due(shop.hands(tmp_path), NOBODY, "acme", "sandbox", due(shop))
    assert told is not None
    assert told.sweep is not None
    assert told.sweep.listed == 0


def test_an_event_that_is_none_is_counted_and_the_others_are_heard(shop: Shop) -> None:
    good = {"id": "evt_1", "type": "deposit.captured", "occurred_at": "2026-03-14T12:00:00Z",
            "data": {"id": "dep_1", "reference": "r", "amount_minor": 5, "currency": "EUR", "status": "captured",
                     "sequence": 1}}  # fmt: skip
    listed = [ListedEvent(b"[]", {}), ListedEvent(json.dumps(good).encode(), {"webhook-id": "evt_1"})]
    for missed in (1, 0):
        found = fill_gaps(shop.transaction, "acme", shop.account, iter(listed), now=shop.now)
        assert (found.listed, found.missed, found.unreadable) == (2, missed, 1)


def test_a_list_that_fails_half_way_keeps_what_it_told_and_stops_no_run(shop: Shop, tmp_path: Path) -> None:
    shop.sells("order-1", 100)
    shop.hears()
    shop.sandbox.close()
    broken = shop.account.model_copy(update={"base_url": "http://127.0.0.1:1"})
    run = RunName("acme", "sandbox", shop.today())
    told = run_night(shop.hands(tmp_path), run, broken, Told())
    assert told.sweep is None
    assert told.report.state == "done"


def test_a_report_that_cannot_be_written_loses_no_finding(books: Books, tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("in the way")
    told = night(books, tmp_path / "reports", Told([record("stray", 500)]))
    assert (told.report.state, told.paths) == ("done", None)
    assert told.problem is not None
    assert books.kinds() == ["missing_in_ledger"]


@pytest.mark.parametrize("stray", [3, 620])
def test_the_report_adds_up_however_many_findings_there_are(books: Books, tmp_path: Path, stray: int) -> None:
    books.moved("known", 900)
    books.moved("ours", 1_000, "refund")
    told = night(books, tmp_path, Told([
        record("known", 900, fee_minor=9), *(record(f"s{n}", 1_000 + n) for n in range(stray)),
        BadRow(7, "junk", "not a record"),
    ]))  # fmt: skip
    assert (told.problem, told.paths is not None) == (None, True)
    assert told.paths is not None
    facts = json.loads(told.paths.json.read_text())
    listed, more = len(facts["findings"]), sum(group["findings"] for group in facts["more"])
    assert (listed + more, listed) == (stray + 1, min(stray + 1, 500))
    assert len(told.paths.csv.read_text().splitlines()) == 1 + stray + 1
    [euros] = facts["totals"]
    assert euros["total"]["provider_minor"] == 900 - 9 + sum(1_000 + n for n in range(stray))
    assert [row["raw"] for row in facts["bad_rows"]] == ["junk"]
    assert [(fee["amount_minor"], fee["records"]) for fee in facts["fees"]] == [(9, 1)]
    assert facts["counts"]["opened"] == stray + 1


def test_a_counterpart_outside_the_window_is_told_apart(books: Books, tmp_path: Path) -> None:
    books.moved("early", 700, at=datetime(2026, 3, 1, 12, tzinfo=UTC))
    books.moved("known", 300)
    told = night(books, tmp_path, Told([record("early", 700), record("known", 300)]))
    assert told.problem is None
    assert told.paths is not None
    [euros] = json.loads(told.paths.json.read_text())["totals"]
    assert (euros["matched"]["provider_minor"], euros["elsewhere"]["provider_minor"]) == (300, 700)
    assert euros["elsewhere"]["ledger_minor"] == 0


def test_a_truncated_and_a_failed_night_have_reports_too(books: Books, tmp_path: Path) -> None:
    for n in range(25):
        books.moved(f"r{n}", 100)
    for source, state in ((Told(), "truncated"), (Told(error="no answer"), "failed")):
        told = night(books, tmp_path, source)
        assert told.paths is not None, told.problem
        facts = json.loads(told.paths.json.read_text())
        assert (facts["state"], facts["totals"], facts["problem"] is not None) == (state, [], True)
    assert books.findings() == []


def test_of_an_account_with_files_each_night_takes_the_next_and_again_its_own(
    books: Books, tmp_path: Path, shop: Shop
) -> None:
    for name in ("b.csv", "a.csv"):
        (tmp_path / name).write_text(name)
    told = RecordsSettings(path=str(tmp_path / "*.csv"), format="adyen_settlement")
    account = shop.account.model_copy(update={"records": told})
    hands = replace(
        shop.hands(tmp_path), tenants={"acme": TenantSettings(name="acme", providers={"sandbox": account})}
    )
    nights = [RunName("acme", "sandbox", NIGHT + timedelta(days=n)) for n in range(3)]
    for run, name in zip(nights, ("a.csv", "b.csv"), strict=False):
        assert getattr(source_of(hands, run, account), "name", None) == name
        books.run_from(ToldFile(digest=name, name=name), night=run.business_date)
        assert getattr(source_of(hands, run, account), "name", None) == name
    with pytest.raises(SourceFailed, match="there is no report file at"):
        list(source_of(hands, nights[2], account).read(Window(books.now, books.now)))


def night(books: Books, reports: Path, source: Told) -> Any:
    """By the service of the nights, with a source of the test's own."""
    shop = Shop(books.transaction, "acme", books.now, Sandbox(base_url="http://127.0.0.1:1"))
    hands = replace(shop.hands(reports), clock=lambda: books.now)
    adyen = shop.account.model_copy(update={"adapter": "adyen"})
    return run_night(hands, RunName("acme", "sandbox", NIGHT), adyen, source)
