"""`ledgerbeat demo`: the whole story once, on embedded servers, in a home of its own that is thrown away."""

import shutil
import tempfile
import time
from pathlib import Path

import click
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from models.errors import LedgerbeatError
from ops.demo.doors import Doors
from ops.demo.moving import move_older_wallet
from ops.demo.nights import reconcile_today
from ops.demo.payouts import paid_once, print_payouts
from ops.demo.report import print_arrivals, print_jobs, print_verdict, print_wallets
from ops.demo.story import CELERY_KEY, EXPECTED_WALLETS, play
from ops.stack import Stack
from tasks.reconciliation.nightly import reports_folder
from worker.settings import PREFIX, load_settings

SETTLE_SECONDS_MAX = 60
POLL_SECONDS = 0.2
OWN_SERVERS = {f"{PREFIX}{name}": "" for name in ("DATABASE_URL", "REDIS_URL", "BROKER_URL", "CONFIG")} | {
    f"{PREFIX}{name}_FILE": "" for name in ("DATABASE_URL", "REDIS_URL", "BROKER_URL")
}

UNFINISHED = text("""
    SELECT (SELECT count(*) FROM jobs WHERE finished_at IS NULL)
        + (SELECT count(*) FROM payouts WHERE state NOT IN ('paid', 'failed', 'cancelled', 'returned'))
""")
ARRIVED = text("SELECT count(*) FROM jobs WHERE idempotency_key = :key")


class Unsettled(LedgerbeatError):
    """Jobs or payouts were left unfinished when the demo's time was up."""


def run() -> int:
    """Tell the story; 0 only when every invariant holds and every wallet is what it must be."""
    home = Path(tempfile.mkdtemp(prefix="ledgerbeat-demo-"))
    home.chmod(0o711)
    click.echo(
        "starting PostgreSQL, Redis, workers, Beat, the HTTP door, Flower and the sandbox provider ..."
    )
    with Stack(home, http_port=0, flower_port=0, sandbox_port=0, environment=OWN_SERVERS) as stack:
        click.echo(f"they run: door {stack.http_url}, Flower {stack.flower_url}, sandbox {stack.sandbox_url}")
        right = _tell(stack)
    click.echo("\neverything it started is stopped")
    if right:
        shutil.rmtree(home, ignore_errors=True)
        click.secho("every invariant holds, every wallet is right", fg="green", bold=True)
    else:
        click.secho(f"the books are NOT right; the data and logs are kept in {home}", fg="red", bold=True)
    return 0 if right else 1


def _tell(stack: Stack) -> bool:
    doors = Doors(stack.settings, stack.http_url, stack.sandbox_url)
    engine = create_engine(stack.settings.require_database_url())
    try:
        payouts = play(doors)
        _wait_until_settled(engine)
        print_arrivals(doors.log)
        with Session(engine) as session:
            print_jobs(session)
            print_payouts(session, payouts)
            right = print_verdict(session, print_wallets(session), EXPECTED_WALLETS)
            right = paid_once(session, doors, list(payouts.values())) and right
        right = move_older_wallet(stack.settings, stack.home) and right
        return reconcile_today(stack.settings, reports_folder(load_settings().home)) and right
    finally:
        doors.http.close()
        engine.dispose()


def _wait_until_settled(engine: Engine) -> None:
    """Wait until what was sent has arrived and every job and payout has ended. Raises Unsettled."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while time.monotonic() < deadline:
        with engine.connect() as connection:
            arrived = connection.execute(ARRIVED, {"key": CELERY_KEY}).scalar_one()
            unfinished = connection.execute(UNFINISHED).scalar_one()
        if arrived and not unfinished:
            return
        time.sleep(POLL_SECONDS)
    raise Unsettled(
        f"after {SETTLE_SECONDS_MAX} s {unfinished} jobs and payouts are unfinished, {arrived} of 1 by Celery arrived"
    )
