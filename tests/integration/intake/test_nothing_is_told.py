"""Bait in arguments, bodies and secrets: it is found in no log, error, traceback, settings text or stored cause."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from models.jobs.claim import Job
from tasks.intake.door import NotAccepted, submit
from tasks.intake.port import Work
from tasks.intake.service import drain
from tests.factories import accept_jobs, credit_args, job_request
from tests.integration.intake.handlers import Effects, routing
from worker.database import Transaction
from worker.settings import SettingsError, load_settings
from worker.telemetry import TaskFailed, reported

BAIT = "4111111111111111-jane-roe@example.org"
SECRET = "YSB2ZXJ5IHNlY3JldCB2YWx1ZSwgb2YgYmFpdA=="
CONFIG = """
[tenants.acme]
api_tokens = ["env:TOKEN"]
notify_secrets = ["env:TOKEN"]
[tenants.acme.providers.stripe]
adapter = "stripe"
api_key = "env:TOKEN"
webhook_secrets = ["env:TOKEN"]
"""
TOLD = text("""
    SELECT coalesce(string_agg(concat_ws(' ', last_error, result::text), ' '), '') FROM jobs
    WHERE state IN ('cooling', 'dead', 'refused', 'parked')
""")


def quote_it(_session: Session, work: Sequence[Work[Mapping[str, Any]]]) -> None:
    raise ValueError(f"cannot make sense of {work[0].args}")


def violate_a_constraint(session: Session, work: Sequence[Work[Mapping[str, Any]]]) -> None:
    session.execute(
        text("INSERT INTO tenants (tenant) VALUES (:bait)"),
        {"bait": f"{work[0].args['owner']} IS NOT ALLOWED"},
    )


def misread_a_number(session: Session, work: Sequence[Work[Mapping[str, Any]]]) -> None:
    session.execute(text("SELECT CAST(:bait AS bigint)"), {"bait": work[0].args["owner"]})


@pytest.mark.parametrize("act", [quote_it, violate_a_constraint, misread_a_number])
def test_a_handler_that_breaks_quotes_nothing(
    act: Callable[..., None], transaction: Transaction, tenant: str, now: datetime
) -> None:
    accept_jobs(transaction, [job_request(args=credit_args(BAIT)) for _ in range(3)], now=now)
    routes = routing(**{"wallets.credit": Effects(act)})
    with capture_logs() as logged:
        drain(transaction, tenant, routing=routes, clock=lambda: now, sleep=lambda _: None)
    with transaction() as session:
        told = session.execute(TOLD).scalar_one()
    assert logged
    assert told
    assert BAIT not in f"{logged} {told}"


@pytest.mark.parametrize("act", [quote_it, violate_a_constraint, misread_a_number])
def test_a_task_that_fails_shows_its_cause_and_no_value(
    act: Callable[..., None], transaction: Transaction, tenant: str, now: datetime
) -> None:
    job = Job(uuid4(), 1, tenant, "wallets.credit", "app", "k", credit_args(BAIT), 0, now, None)
    with (
        capture_logs() as logged,
        pytest.raises(TaskFailed) as failed,
        reported("a.task.failed"),
        transaction() as session,
    ):
        act(session, [Work(job, credit_args(BAIT))])
    shown = "".join(traceback.format_exception(failed.value))
    assert "a.task.failed" in str(logged)
    assert BAIT not in f"{logged} {failed.value!r} {shown}"


@pytest.mark.parametrize(
    "call",
    [
        {"tenant": BAIT},
        {"name": f"{BAIT}\0"},
        {"key": f"{BAIT}\n"},
        {"args": {"owner": BAIT * 10_000}},
        {"args": credit_args(BAIT, 2)},
    ],
)
def test_the_celery_door_refuses_without_quoting(
    call: dict[str, Any], transaction: Transaction, tenant: str, now: datetime
) -> None:
    usual: dict[str, Any] = {
        "tenant": tenant,
        "name": "wallets.credit",
        "key": "k",
        "args": credit_args(BAIT),
    }
    submit(transaction, **usual, now=now)
    with capture_logs() as logged, pytest.raises(NotAccepted) as refused:
        submit(transaction, **{**usual, **call}, now=now)
    shown = "".join(traceback.format_exception(refused.value))
    assert BAIT not in f"{logged} {shown}"


def environment(tmp_path: Path, config: str = CONFIG, **others: str) -> dict[str, str]:
    file = tmp_path / "ledgerbeat.toml"
    file.write_text(config)
    urls = {
        "LEDGERBEAT_DATABASE_URL": f"postgresql://app:{SECRET}@host/db",
        "LEDGERBEAT_REDIS_URL": f"redis://:{SECRET}@host/0",
        "LEDGERBEAT_BROKER_URL": f"amqp://app:{SECRET}@host",
    }
    return {"LEDGERBEAT_CONFIG": str(file), "TOKEN": SECRET, **urls, **others}


def test_settings_show_no_secret(tmp_path: Path) -> None:
    settings = load_settings(environment(tmp_path))
    [acme] = settings.tenants.values()
    assert acme.api_tokens[0].get_secret_value() == SECRET
    for shown in (repr(settings), str(settings), repr(acme), acme.model_dump_json(), str(acme.model_dump())):
        assert SECRET not in shown


@pytest.mark.parametrize(
    ("config", "others"),
    [
        (CONFIG.replace("env:TOKEN", SECRET), {}),
        (CONFIG.replace("api_tokens", "api_toke").replace("env:TOKEN", SECRET), {}),
        (CONFIG.replace('adapter = "stripe"', f'adapter = "{SECRET}"'), {}),
        (f'{CONFIG}password = "{SECRET}"', {}),
        (f"{CONFIG}{SECRET}", {}),
        (CONFIG, {"LEDGERBEAT_DATABASE_URL": f"mysql://app:{SECRET}@host/db"}),
        (CONFIG, {"LEDGERBEAT_REDIS_URL": f"http://:{SECRET}@host"}),
        (CONFIG, {"LEDGERBEAT_HTTP_PORT": SECRET}),
        (CONFIG.replace("stripe", "adyen"), {}),
    ],
)
def test_a_wrong_setting_is_named_and_not_quoted(tmp_path: Path, config: str, others: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as wrong:
        load_settings(environment(tmp_path, config, **others))
    assert SECRET not in "".join(traceback.format_exception(wrong.value))
