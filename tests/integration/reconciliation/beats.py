"""Beats under a frozen clock: their ticks take the hands that the tasks of a process take, its clock included."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time
from freezegun.api import FrozenDateTimeFactory
from sqlalchemy import text

from models.reconciliation.due import RunName
from tasks.reconciliation.hands import Hands
from tasks.reconciliation.scheduling import tick
from tasks.reconciliation.tasks import hands
from worker import resources
from worker.resources import Resources
from worker.settings import TenantSettings, load_settings

REAL_TIME = ["sqlalchemy", "psycopg", "threading", "concurrent", "_pytest"]
"""Who waits for others goes by a clock that moves, or would wait for ever; and how long a test takes is not frozen."""
TENANT = """
[tenants.{name}]
timezone = "{zone}"
[tenants.{name}.providers.sandbox]
adapter = "sandbox"
base_url = "http://127.0.0.1:1"
api_key = "file:key"
webhook_secrets = ["file:webhook-{name}"]
"""
END = text("""
    UPDATE reconciliation_runs SET state = :state, finished_at = :now, claimed_until = NULL, last_error = :error,
        revision = revision + 1
""")


@dataclass
class Beats:
    """So many Beats as `together` lets tick at one moment, each on a thread and a connection of its own.

    `sent` are the messages of all of them, in the order in which they came.
    """

    frozen: FrozenDateTimeFactory
    threads: ThreadPoolExecutor
    sent: list[tuple[str, str, date]] = field(default_factory=list)
    broker_is_down: bool = False
    tenants: Mapping[str, TenantSettings] | None = None
    """In place of those that the process is configured with."""

    def publish(self, tenant: str, provider: str, business_date: date) -> None:
        if self.broker_is_down:
            raise ConnectionError
        self.sent.append((tenant, provider, business_date))

    def hands(self) -> Hands:
        """Those of the tasks of this process."""
        made = hands()
        return made if self.tenants is None else replace(made, tenants=self.tenants)

    def tick(self, now: datetime | None = None) -> list[date]:
        """One of them ticks, at `now` if it is given; the business dates of the messages that it sent."""
        if now is not None:
            self.frozen.move_to(now)
        return [run.business_date for run in tick(self.hands(), self.publish)]

    def together(self, now: datetime, beats: int = 2) -> list[RunName]:
        """So many tick at this very moment."""
        self.frozen.move_to(now)
        ticking = [self.threads.submit(tick, self.hands(), self.publish) for _ in range(beats)]
        return [run for one in ticking for run in one.result()]

    def end(self, state: str = "done") -> None:
        """Every run has ended."""
        ended = {"state": state, "error": "no answer" if state == "failed" else None}
        with self.hands().transaction() as session:
            session.execute(END, ended | {"now": self.hands().clock()})

    def rows(self) -> list[dict[str, Any]]:
        with self.hands().transaction() as session:
            found = session.execute(text("SELECT * FROM reconciliation_runs ORDER BY tenant, business_date"))
            return [dict(row) for row in found.mappings()]


@contextmanager
def beats_of(
    zones: dict[str, str], database_url: str, folder: Path, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Beats]:
    """Tenants by name, in their time zones, in a process whose clock stands still at `at`."""
    (folder / "key").write_text("sk_test")
    for name in zones:
        (folder / f"webhook-{name}").write_text(f"whsec_{b64encode(name.encode() * 3).decode()}")
    config = folder / "ledgerbeat.toml"
    config.write_text("".join(TENANT.format(name=name, zone=zone) for name, zone in zones.items()))
    environment = {"DATABASE_URL": database_url, "CONFIG": str(config), "HOME": str(folder)}
    made = Resources(load_settings({f"LEDGERBEAT_{name}": value for name, value in environment.items()}))
    monkeypatch.setattr(resources, "_current", made)
    try:
        with ThreadPoolExecutor(8) as threads, freeze_time(at, ignore=REAL_TIME) as frozen:
            with made.transaction():
                pass
            assert isinstance(frozen, FrozenDateTimeFactory)
            yield Beats(frozen, threads)
    finally:
        made.close()
