"""The tick on real rows: each night one row and one message at a time, whoever ticks and whatever is lost."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import text

from models.reconciliation.due import LEASE_SECONDS, RunName
from models.reconciliation.runs import claim_run
from tasks.reconciliation.scheduling import has_work
from tests.integration.providers.accounts import account
from tests.integration.reconciliation.beats import Beats, beats_of
from worker.database import Transaction
from worker.settings import TenantSettings

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def settings(*names: str) -> dict[str, TenantSettings]:
    provider = account("sandbox", base_url="http://127.0.0.1:1", api_key="sk_test")
    return {name: TenantSettings(name=name, providers={provider.name: provider}) for name in names}


def born(owner_transaction: Transaction, at: datetime) -> None:
    with owner_transaction() as session:
        session.execute(text("UPDATE tenants SET created_at = :at"), {"at": at})


@pytest.fixture
def beats(
    database_url: str,
    owner_transaction: Transaction,
    tenant: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Beats]:
    """acme alone is configured; its first night, the 13th, is due."""
    with beats_of({tenant: "Europe/Istanbul"}, database_url, tmp_path, NOON, monkeypatch) as beats:
        born(owner_transaction, NOON - 400 * DAY)
        yield beats


def test_a_night_that_is_due_is_a_row_and_a_message_once(beats: Beats) -> None:
    assert beats.tick() == [date(2026, 3, 13)]
    assert beats.tick(NOON + timedelta(seconds=30)) == []
    [row] = beats.rows()
    assert (row["state"], row["provider"], row["revision"]) == ("pending", "sandbox", 0)


def test_a_lost_message_is_sent_again_when_its_lease_is_over(beats: Beats) -> None:
    beats.tick()
    assert beats.tick(NOON + timedelta(seconds=LEASE_SECONDS - 1)) == []
    assert beats.tick(NOON + timedelta(seconds=LEASE_SECONDS)) == [date(2026, 3, 13)]


def test_without_the_broker_the_row_waits_for_its_lease(beats: Beats) -> None:
    beats.broker_is_down = True
    assert beats.tick() == []
    beats.broker_is_down = False
    assert beats.tick(NOON + timedelta(seconds=LEASE_SECONDS)) == [date(2026, 3, 13)]


def test_two_beats_at_once_make_one_row_and_send_one_message(beats: Beats) -> None:
    beats.tick(NOON - 3 * DAY)
    beats.sent.clear()
    found = beats.together(NOON, beats=8)
    assert len(found) == len(beats.sent)
    assert len(beats.sent) == len(set(beats.sent))
    assert [row["business_date"].day for row in beats.rows()] == [10, 11, 12, 13]


def test_what_ended_is_left_alone_and_what_failed_is_tried_again_ever_later(beats: Beats) -> None:
    beats.tick()
    beats.end("failed")
    tries, now = [], NOON
    while now < NOON + timedelta(hours=12):
        now += timedelta(minutes=5)
        if date(2026, 3, 13) in beats.tick(now):
            tries.append(now)
            beats.end("failed")
    pauses = [(after - before).total_seconds() for before, after in pairwise(tries)]
    assert len(tries) >= 4
    assert pauses == sorted(pauses)
    beats.end("done")
    assert beats.tick(now + timedelta(hours=9)) == []


def test_a_run_whose_worker_died_is_sent_again(beats: Beats) -> None:
    beats.tick()
    with beats.hands().transaction() as session:
        window = (NOON - DAY, NOON)
        assert claim_run(session, "acme", "sandbox", date(2026, 3, 13), window=window, seconds=900, now=NOON)
    assert beats.tick(NOON + timedelta(seconds=600)) == []
    assert beats.tick(NOON + timedelta(seconds=901)) == [date(2026, 3, 13)]


def test_a_message_for_what_ended_meanwhile_finds_no_work(beats: Beats) -> None:
    beats.tick()
    run = RunName("acme", "sandbox", date(2026, 3, 13))
    assert has_work(beats.hands(), run)
    beats.end()
    assert not has_work(beats.hands(), run)
    assert not has_work(beats.hands(), replace(run, business_date=date(2026, 3, 1)))


def test_tenants_are_strangers_and_what_is_not_configured_is_left_alone(beats: Beats) -> None:
    beats.tenants = settings("acme", "globex", "unknown")
    beats.tick()
    assert {row["tenant"] for row in beats.rows()} == {"acme", "globex"}
    beats.tenants, beats.sent = settings("globex"), []
    beats.tick(NOON + DAY)
    assert {tenant for tenant, _, _ in beats.sent} == {"globex"}


def test_an_account_that_only_takes_webhooks_has_no_nights(beats: Beats) -> None:
    silent = account("sandbox", None, "").model_copy(update={"api_key": None})
    beats.tenants = {"acme": TenantSettings(name="acme", providers={silent.name: silent})}
    assert beats.tick() == []
    assert beats.rows() == []
