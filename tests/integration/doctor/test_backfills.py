"""The doctor on backfills: one that stopped by itself, or that nobody takes, is told with the way on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from models.backfills.runs import NewRun, create_run
from models.backfills.tables import PAUSE_CODES, backfills
from tests.integration.doctor.patient import CONFIG, Environment, without_redis
from worker.database import Transaction

SECONDS = timedelta(seconds=1)


def asked(transaction: Transaction, tenant: str, *, dry_run: bool) -> str:
    new = NewRun(
        id=uuid4(), tenant=tenant, kind="postings", source={"type": "sql", "name": "old"}, namespace="old",
        actor="ops:dana", reason="ticket 311", batch_rows=100, max_amount_minor=500, dry_run=dry_run,
    )  # fmt: skip
    with transaction() as session:
        create_run(session, new, now=datetime.now(UTC))
    return str(new.id)


@pytest.fixture
def run_id(transaction: Transaction, tenant: str) -> str:
    """A run that was asked for a moment ago."""
    return asked(transaction, tenant, dry_run=False)


@pytest.fixture
def dry_run_id(transaction: Transaction, tenant: str) -> str:
    """The same as a dry run."""
    return asked(transaction, tenant, dry_run=True)


def change(transaction: Transaction, **changed: Any) -> None:
    with transaction() as session:
        session.execute(backfills.update().values(**changed))


def found(environment: Environment) -> tuple[str, str, str]:
    [one] = [one for one in without_redis(environment) if one.check == "backfills"]
    return one.verdict, one.found, one.fix


def test_without_any_there_is_nothing_to_say(environment: Environment) -> None:
    assert found(environment) == ("ok", "none is open", "")


def test_one_that_has_just_begun_is_fine(environment: Environment, run_id: str) -> None:
    assert found(environment) == ("ok", f"acme postings {run_id} is pending", "")


def test_one_that_nobody_takes_is_a_problem(
    environment: Environment, run_id: str, transaction: Transaction
) -> None:
    change(transaction, next_batch_at=datetime.now(UTC) - 90 * SECONDS)
    verdict, said, fix = found(environment)
    assert (verdict, said) == ("problem", f"acme postings {run_id} is pending and nobody works on it")
    assert "celery -A worker worker -Q backfills" in fix


@pytest.mark.parametrize(("age", "verdict"), [(90, "ok"), (590, "ok"), (610, "problem")])
def test_one_that_has_begun_may_take_its_time(
    environment: Environment, run_id: str, transaction: Transaction, age: int, verdict: str
) -> None:
    now = datetime.now(UTC)
    begun_at, turn_until = now - 5000 * SECONDS, now + 20 * SECONDS
    change(transaction, state="running", started_at=begun_at, next_batch_at=begun_at)
    change(transaction, last_batch_at=now - age * SECONDS, claimed_until=turn_until)
    judged, said, _ = found(environment)
    assert (judged, said.startswith(f"acme postings {run_id} is running")) == (verdict, True)


def test_one_that_rests_is_fine(environment: Environment, run_id: str, transaction: Transaction) -> None:
    now = datetime.now(UTC)
    change(transaction, state="running", started_at=now - 5000 * SECONDS, next_batch_at=now + 5 * SECONDS)
    assert found(environment)[:2] == ("ok", f"acme postings {run_id} is running")


@pytest.mark.parametrize(
    ("changed", "verdict", "words", "fix"),
    [
        ({"state": "failed", "last_error": "the header lacks id"}, "problem", "has failed (the header", "resume"),
        ({"state": "paused", "pause_code": "asked"}, "ok", "paused, as somebody asked", ""),
        ({"state": "paused", "pause_code": "cap_reached", "last_error": "line 8 would move 1.50 EUR"}, "warning",
         "is paused at its cap (line 8 would move 1.50 EUR)", "--max-amount-minor"),
        ({"state": "paused", "pause_code": "source_changed"}, "problem", "source_changed", "put the file back"),
        ({"state": "paused", "pause_code": "source_failed", "last_error": "old.csv is gone"}, "problem",
         "source_failed (old.csv is gone)", "put the source right"),
        ({"state": "paused", "pause_code": "batch_failed"}, "problem", "batch_failed", "log"),
    ],
)  # fmt: skip
def test_why_it_stopped_decides(
    environment: Environment,
    run_id: str,
    transaction: Transaction,
    changed: dict[str, Any],
    verdict: str,
    words: str,
    fix: str,
) -> None:
    change(transaction, **changed)
    judged, said, way = found(environment)
    assert (judged, words in said, fix in way) == (verdict, True, True), (said, way)
    assert (run_id in way) == (verdict != "ok")


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "failed"},
        *({"state": "paused", "pause_code": code} for code in PAUSE_CODES),
        {"state": "done", "finished_at": datetime.now(UTC)},
    ],
)
def test_a_dry_run_that_has_stopped_is_in_nobodys_way(
    environment: Environment, dry_run_id: str, transaction: Transaction, changed: dict[str, Any]
) -> None:
    change(transaction, **changed)
    assert found(environment) == ("ok", "none is open", ""), dry_run_id


def test_a_dry_run_that_nobody_takes_is_a_problem_for_the_next_run(
    environment: Environment, dry_run_id: str, transaction: Transaction
) -> None:
    change(transaction, next_batch_at=datetime.now(UTC) - 90 * SECONDS)
    assert found(environment)[:2] == (
        "problem",
        f"acme postings {dry_run_id} is pending and nobody works on it",
    )


@pytest.mark.parametrize("state", ["done", "cancelled"])
def test_what_has_ended_is_not_told(
    environment: Environment, run_id: str, transaction: Transaction, state: str
) -> None:
    change(transaction, state=state, finished_at=datetime.now(UTC))
    assert found(environment) == ("ok", "none is open", ""), run_id


def test_a_sources_password_is_never_told(
    environment: Environment, run_id: str, transaction: Transaction
) -> None:
    change(transaction, state="failed", last_error="cannot reach postgresql://old:hunter2hunter2@db/old")
    source = (
        '[tenants.acme.backfills.old]\nurl = "env:OLD_URL"\nquery = "SELECT 1"\nkey = "id"\n'
        '[tenants.acme.backfills.old.mapping]\nunit = "minor"\ncurrency = "EUR"\n'
        '[tenants.acme.backfills.old.mapping.columns]\nid = "id"\nowner = "owner"\namount = "amount"\n'
        'occurred_at = "at"\n'
    )
    Path(environment["LEDGERBEAT_CONFIG"]).write_text(CONFIG + source)
    said = found(environment | {"OLD_URL": "postgresql://old:hunter2hunter2@db/old"})[1]
    assert ("hunter2" in said, "***" in said) == (False, True), (said, run_id)
