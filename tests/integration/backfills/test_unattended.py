"""A stop that is asked for where no worker takes the queue: it takes effect all the same."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from models.backfills.tables import backfills
from tasks.backfills import service
from tasks.backfills.batch import run_batch
from tasks.backfills.hands import Hands
from tests.integration.backfills.office import Office, row
from tests.integration.backfills.runs import Nobody
from worker.settings import TenantSettings

SENT: list[UUID] = []


def hands(office: Office, at: datetime) -> Hands:
    """Of a tick, whose messages nobody takes."""
    tenants = {"acme": TenantSettings(name="acme")}
    publish = lambda run_id, _turn, _progress: SENT.append(run_id)  # noqa: E731 - a Publish
    return Hands(office.transaction, tenants, Nobody(), publish=publish, clock=lambda: at)


@pytest.fixture
def handed_over(office: Office) -> str:
    """A run whose first turn was sent, and came to nobody."""
    office.file(*(row(number) for number in range(5)))
    run_id = str(office.start("--detach", "--json", here=False).json["id"])
    SENT.clear()
    assert service.tick(hands(office, datetime.now(UTC))) == 1
    assert [str(one) for one in SENT] == [run_id]
    return run_id


@pytest.mark.parametrize(("command", "state"), [("pause", "paused"), ("cancel", "cancelled")])
def test_before_the_first_batch_at_once(office: Office, handed_over: str, command: str, state: str) -> None:
    assert office.run("backfill", command, handed_over, "--reason", "x").code == 0
    [run] = office.rows("SELECT state, stop_asked FROM backfills")
    assert (run["state"], run["stop_asked"]) == (state, None)
    message = run_batch(hands(office, datetime.now(UTC)), UUID(handed_over), turn=1)
    assert (message.run.state, office.posted()) == (state, 0)


@pytest.mark.parametrize(("command", "state"), [("pause", "paused"), ("cancel", "cancelled")])
def test_between_two_batches_with_the_next_tick(
    office: Office, handed_over: str, command: str, state: str
) -> None:
    now = datetime.now(UTC)
    with office.transaction() as session:
        session.execute(
            backfills.update().values(state="running", started_at=now, claimed_until=now + timedelta(hours=1))
        )
    office.run("backfill", command, handed_over, "--reason", "x")
    SENT.clear()
    assert service.tick(hands(office, now + timedelta(minutes=59))) == 0
    assert office.rows("SELECT state FROM backfills")[0]["state"] == "running"
    assert service.tick(hands(office, now + timedelta(minutes=61))) == 0
    [run] = office.rows("SELECT state, stop_asked FROM backfills")
    assert (run["state"], run["stop_asked"], SENT) == (state, None, [])
