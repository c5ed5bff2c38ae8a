"""The doctor on payouts: each obstacle is named, with what to do about it."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from ops.doctor import examine
from ops.doctor.findings import Finding
from tests.integration.doctor.patient import CONFIG, Environment, ticked, without_redis
from tests.integration.intake.processes import worker
from tests.integration.payouts.histories import Histories
from tests.waiting import until
from worker.database import Transaction

PAYS_OUT = CONFIG + 'base_url = "http://127.0.0.1:1"\napi_key = "env:ACME_SECRET"\n'


@pytest.fixture
def histories(transaction: Transaction, tenant: str, environment: Environment) -> Histories:
    """Payouts in every state, of a moment ago, by an account that can pay out."""
    Path(environment["LEDGERBEAT_CONFIG"]).write_text(PAYS_OUT)
    made = Histories(transaction, datetime.now(UTC) - timedelta(seconds=20), tenant)
    made.account()
    made.every_state()
    return made


def found(environment: Environment) -> list[tuple[str, str, str]]:
    return [(one.verdict, one.found, one.fix) for one in without_redis(environment) if one.check == "payouts"]


def test_payouts_that_are_on_their_way_are_no_problem(environment: Environment, histories: Histories) -> None:
    assert found(environment) == [("ok", "6 are open, nothing keeps them from leaving", "")]


def test_without_an_account_there_is_nothing_to_say(environment: Environment) -> None:
    assert found(environment) == []


@pytest.mark.parametrize(
    ("change", "verdict", "words", "fix"),
    [
        (
            "UPDATE provider_accounts SET paused_at = now(), paused_by = 'boss'",
            "warning", "acme/sandbox is paused by boss; 2 payouts wait",
            "ledgerbeat providers resume --tenant acme --provider sandbox",
        ),
        (
            "UPDATE provider_accounts SET breaker = 'open', breaker_code = 'unauthorized', probe_at = now()",
            "warning", "the breaker of acme/sandbox is open (unauthorized)", "ops/runbooks/payouts.md",
        ),
        (
            "UPDATE payouts SET lookups_made = 5 WHERE state = 'in_doubt'",
            "problem", "1 payouts are in doubt past the whole ladder", "payouts list --tenant acme",
        ),
        (
            "UPDATE payouts SET next_attempt_at = now() - interval '2 minutes' WHERE state = 'approved'",
            "problem", "nobody dispatches", "start Beat and workers of the queues 'intake' and 'payouts'",
        ),
        (
            "UPDATE provider_accounts SET enabled = false",
            "problem", "acme/sandbox cannot pay out", "README: Settings",
        ),
    ],
)  # fmt: skip
def test_each_obstacle_is_named_with_its_fix(
    environment: Environment, histories: Histories, change: str, verdict: str, words: str, fix: str
) -> None:
    with histories.transaction() as session:
        session.execute(text(change))
    [(judged, said, todo)] = found(environment)
    assert (judged, words in said, fix in todo) == (verdict, True, True), (judged, said, todo)


def test_approvals_that_wait_for_a_day_are_a_warning(
    environment: Environment, histories: Histories, owner_transaction: Transaction
) -> None:
    with owner_transaction() as session:
        session.execute(
            text("UPDATE payouts SET requested_at = now() - interval '25 h' WHERE state ~ 'awaiting'")
        )
    [(verdict, said, fix)] = found(environment)
    assert (verdict, "1 payouts wait for approval, the oldest for 25 h" in said) == ("warning", True)
    assert "--state awaiting_approval" in fix


@pytest.mark.parametrize(
    ("config", "missing"),
    [
        (CONFIG, "tenants.acme.providers.sandbox.api_key is missing"),
        (CONFIG + 'api_key = "env:ACME_SECRET"\n', "tenants.acme.providers.sandbox.base_url is missing"),
    ],
)
def test_payouts_of_an_account_that_lacks_what_they_need_are_a_problem(
    environment: Environment, histories: Histories, config: str, missing: str
) -> None:
    Path(environment["LEDGERBEAT_CONFIG"]).write_text(config)
    [(verdict, said, _)] = found(environment)
    assert (verdict, missing in said) == ("problem", True), said


@pytest.mark.parametrize("change", [
    "UPDATE provider_accounts SET paused_at = now(), paused_by = 'boss'", "UPDATE tenants SET paused_at = now()",
    "UPDATE payouts SET dispatched_until = now() + interval '15 s' WHERE state = 'approved'",
])  # fmt: skip
def test_what_is_held_back_on_purpose_or_under_way_is_not_late(
    environment: Environment, histories: Histories, change: str
) -> None:
    with histories.transaction() as session:
        session.execute(
            text("UPDATE payouts SET next_attempt_at = now() - interval '1 h' WHERE state = 'approved'")
        )
        session.execute(text(change))
    assert not any("nobody dispatches" in said for _, said, _ in found(environment))


def queues(environment: Environment) -> list[Finding]:
    """What is told of the queues; nothing while no worker answers."""
    return [one for one in examine(environment) if one.check == "queues"]


@pytest.mark.parametrize(
    ("arguments", "verdict"), [((), "ok"), (("-Q", "intake,celery,reconciliation,backfills"), "problem")]
)
def test_a_queue_without_a_worker_is_a_problem(
    environment: Environment,
    transaction: Transaction,
    tmp_path: Path,
    arguments: tuple[str, ...],
    verdict: str,
) -> None:
    ticked(transaction)
    with worker({**os.environ, **environment}, tmp_path, *arguments):
        [told] = until(lambda: queues(environment), what="a worker's answer")
    assert told.verdict == verdict
    if verdict == "problem":
        assert told.found == "no worker takes from: notifications, payouts"
        assert "-Q notifications,payouts" in told.fix
