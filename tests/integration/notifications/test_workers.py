"""Real workers and Beat: from a committed announcement to a verified delivery, and nothing of it in any log."""

import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from models.notifications import News, announce
from tests.integration.intake.processes import CeleryProcess, beat, worker
from tests.integration.notifications.receiver import OLD_SECRET, SECRET, Receiver, Reply
from tests.waiting import until
from worker.database import Transaction

TOML = """
[tenants.acme]
notify_url = "{url}?key=hidden-in-the-url"
notify_secrets = ["env:NEW_SECRET", "env:OLD_SECRET"]
"""


@pytest.fixture
def environment(database_url: str, redis_url: str, receiver: Receiver, tmp_path: Path) -> dict[str, str]:
    config = tmp_path / "ledgerbeat.toml"
    config.write_text(TOML.format(url=receiver.url))
    return {
        "LEDGERBEAT_DATABASE_URL": database_url,
        "LEDGERBEAT_REDIS_URL": redis_url,
        "LEDGERBEAT_CONFIG": str(config),
        "NEW_SECRET": SECRET,
        "OLD_SECRET": OLD_SECRET,
    }


def tell(transaction: Transaction, *subjects: tuple[str, int]) -> None:
    news = [
        News("acme", "payout.paid", subject, version, {"owner": "hidden-owner"})
        for subject, version in subjects
    ]
    with transaction() as session:
        announce(session, news, now=datetime.now(UTC))


def is_notified(transaction: Transaction) -> bool:
    with transaction() as session:
        return bool(session.execute(text("SELECT count(*) FROM tenants WHERE notified")).scalar_one())


def states(transaction: Transaction) -> list[str]:
    with transaction() as session:
        return list(session.execute(text("SELECT DISTINCT state FROM notifications")).scalars())


def test_what_is_announced_is_delivered_within_seconds_and_a_killed_worker_s_send_is_repeated(
    transaction: Transaction, environment: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    held = threading.Event()
    with ExitStack() as running:
        processes: list[CeleryProcess] = [running.enter_context(beat(environment, tmp_path))]
        processes.append(running.enter_context(worker(environment, tmp_path)))
        until(lambda: is_notified(transaction), what="the settings in the database")
        tell(transaction, *((f"payout:{n}", version) for n in range(5) for version in (1, 2)))
        until(lambda: states(transaction) == ["delivered"], what="ten deliveries")
        assert len(receiver.deliveries) == 10

        receiver.answer = lambda _: Reply(hold=held)
        tell(transaction, ("payout:5", 1))
        until(lambda: len(receiver.deliveries) == 11, what="the delivery that is cut off")
        processes[-1].kill()
        held.set()
        end_leases(transaction)
        processes.append(running.enter_context(worker(environment, tmp_path)))
        until(lambda: states(transaction) == ["delivered"], what="the delivery again")
    cut_off, again = receiver.deliveries[10:]
    assert (cut_off.webhook_id, cut_off.body) == (again.webhook_id, again.body)
    assert len({one.webhook_id for one in receiver.deliveries}) == 11
    for delivery in receiver.deliveries:
        assert delivery.verified(SECRET) == delivery.verified(OLD_SECRET)
    printed = "".join(process.printed() for process in processes)
    assert "notifications.served" in printed
    for secret in ("hidden", SECRET[6:], OLD_SECRET[6:]):
        assert secret not in printed


def end_leases(transaction: Transaction) -> None:
    """A minute later, as far as the rows are concerned."""
    with transaction() as session:
        before = {"before": datetime.now(UTC) - timedelta(seconds=1)}
        session.execute(
            text("UPDATE notifications SET next_try_at = :before WHERE state = 'pending'"), before
        )
        session.execute(text("UPDATE notification_lanes SET dispatched_until = :before"), before)
