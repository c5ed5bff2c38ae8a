"""The doctor on the nights: one that was missed is a problem, with the command that makes up for it."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from models.reconciliation.runs import plan_run
from tests.integration.doctor.patient import CONFIG, Environment, without_redis
from worker.database import Transaction

PAYS_OUT = CONFIG + 'base_url = "http://127.0.0.1:1"\napi_key = "env:ACME_SECRET"\n'
DAY = timedelta(days=1)


@pytest.fixture
def due(environment: Environment, transaction: Transaction, owner_transaction: Transaction) -> date:
    """The last business date that is due: its night was due at least an hour ago, at most a day and an hour."""
    Path(environment["LEDGERBEAT_CONFIG"]).write_text(PAYS_OUT.replace("Europe/Istanbul", "UTC"))
    now = datetime.now(UTC)
    due_at = now - timedelta(hours=6)
    with owner_transaction() as session:
        session.execute(
            text("UPDATE tenants SET created_at = :then, timezone = 'UTC', reconcile_at_local = :at"),
            {"then": now - 9 * DAY, "at": f"{due_at:%H:%M}"},
        )
    return due_at.date() - DAY


def found(environment: Environment) -> list[tuple[str, str, str]]:
    return [(one.verdict, one.found, one.fix) for one in without_redis(environment) if one.check == "nights"]


def test_a_night_that_never_began_is_a_problem(environment: Environment, due: date) -> None:
    [(verdict, said, fix)] = found(environment)
    assert (verdict, said) == ("problem", f"acme/sandbox {due} was missed: never begun")
    assert f"ledgerbeat reconcile --tenant acme --provider sandbox --date {due}" in fix


@pytest.mark.parametrize(
    ("state", "error", "verdict", "words"),
    [
        ("done", None, "ok", "is reconciled"),
        ("truncated", None, "problem", "far too short"),
        ("failed", "http_500", "problem", "was missed: failed (http_500)"),
    ],
)
def test_how_the_night_ended_is_told(
    environment: Environment,
    due: date,
    transaction: Transaction,
    state: str,
    error: Any,
    verdict: str,
    words: str,
) -> None:
    now = datetime.now(UTC)
    with transaction() as session:
        plan_run(session, "acme", "sandbox", due, due_at=now)
        session.execute(
            text("UPDATE reconciliation_runs SET state = :state, finished_at = :now, last_error = :error"),
            {"state": state, "now": now, "error": error},
        )
    [(judged, said, _)] = found(environment)
    assert (judged, words in said) == (verdict, True), said


def test_an_account_that_only_takes_webhooks_has_no_nights(environment: Environment) -> None:
    assert found(environment) == []
