"""Live work while something else runs: requests at a steady rate, how long their answers and their effects take."""

import statistics
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from models.ledger.outcomes import Leg, Posting
from models.ledger.posting import post as post_to_ledger
from ops.processes import worker_answers
from tests.bench.generator import load, post
from tests.bench.postings import NOW, TENANT
from tests.bench.report import Report
from tests.bench.running import Connection, beat, celery, connected, environment, process, wait_for, web
from tests.integration.http.requests import CREDIT, SANDBOX, captured, credit, job_headers, signed
from tests.waiting import until
from worker.database import Transaction

RATE = 200
SECONDS = 8
ROUNDS = 3
OWNERS = 1_000
QUEUED = "SELECT CASE WHEN EXISTS (SELECT FROM jobs WHERE state = 'queued') THEN 0 ELSE 1 END"
# From the door to the ledger, of what was accepted since then.
LANE = """
    SELECT 1000 * percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - accepted_at))
    FROM jobs WHERE name = 'wallets.credit' AND state = 'done' AND accepted_at >= to_timestamp(%s)
"""
Beside = Callable[[str], AbstractContextManager[object]]
"""What runs while the requests are sent, given a name that no other round has."""

numbers = count(1)


@dataclass(frozen=True, slots=True)
class Latency:
    """99th percentiles, in milliseconds: of the door's answers, and from the door to the ledger."""

    door: float
    lane: float


@contextmanager
def product(database_url: str, redis_url: str, folder: Path) -> Iterator[tuple[int, Connection]]:
    """The shim, a worker for live work, and Beat; the port, and a connection."""
    environ = environment(folder, database_url, redis_url)
    with (
        process(celery("worker", "-Q", "intake", "-n", "bench@%h"), environ, folder / "worker.log"),
        process(beat(folder), environ, folder / "beat.log"),
        web("worker.http.app:create_app", environ, folder) as (port, _),
        connected(database_url) as connection,
    ):
        until(lambda: worker_answers(redis_url, "bench"), within_seconds=60, what="worker")
        yield port, connection


def open_books(transaction: Transaction) -> None:
    """The house's account and the live owners' wallets; the tenant is there."""
    legs = [
        (Leg("house:promo", "EUR", -1), Leg(f"wallet:player-{n}:available", "EUR", 1)) for n in range(OWNERS)
    ]
    with transaction() as session:
        opening = [Posting(TENANT, f"open:{n}", "open", two, NOW) for n, two in enumerate(legs)]
        post_to_ledger(session, opening, now=NOW)


def requests(pairs: int) -> list[bytes]:
    """A signed webhook and a credit, by turns."""
    return list(chain.from_iterable((_webhook(n), _credit(n)) for n in (next(numbers) for _ in range(pairs))))


def _webhook(number: int) -> bytes:
    body = captured(f"evt_{number}", f"order-{number}")
    return post(SANDBOX, signed(body, f"evt_{number}"), body)


def _credit(number: int) -> bytes:
    body = str(credit(number % 100 + 1, f"player-{number % OWNERS}")).replace("'", '"').encode()
    return post(CREDIT, job_headers(f"live-{number}"), body)


def measured(
    port: int,
    connection: Connection,
    besides: dict[str, Beside],
    *,
    rounds: int = ROUNDS,
    seconds: int = SECONDS,
) -> Mapping[str, Sequence[Latency]]:
    """By turns, `rounds` times each, forwards and backwards; the round before the first warms up."""
    found: dict[str, list[Latency]] = {name: [] for name in besides}
    for number in range(-1, rounds):
        names = list(besides)
        for name in reversed(names) if number % 2 else names:
            with besides[name](f"{name.replace(' ', '-')}-{number + 1}"):
                sent = load(port, requests(RATE * seconds // 2), rate=RATE)
            wait_for(connection, QUEUED, 1)
            row = connection.execute(LANE.encode(), (sent.began_at,)).fetchone()
            assert row is not None
            if number >= 0:
                found[name].append(Latency(sent.percentile(0.99), float(str(row[0]))))
    return found


def compare(
    report: Report,
    what: str,
    found: Sequence[Latency],
    alone: Sequence[Latency],
    *,
    asked: float | None = None,
) -> None:
    """Two lines: how much later the answers come, and the effects, than without it."""
    for part, words in (("door", "webhooks and jobs answered"), ("lane", "jobs from the door to the ledger")):
        ratios = [getattr(a, part) / getattr(b, part) for a, b in zip(found, alone, strict=True)]
        there, without = (statistics.median(getattr(one, part) for one in side) for side in (found, alone))
        report.figure(
            f"{words}, p99 at {RATE}/s: {what} / without",
            statistics.median(ratios),
            "x",
            at_most=asked,
            rates=f"{there:.0f} / {without:.0f} ms",
        )


@contextmanager
def nothing(_name: str) -> Iterator[None]:
    """Beside nothing."""
    yield


@contextmanager
def killed_at_the_end(argv: Sequence[str], folder: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """Another process that goes on for longer than it is looked at."""
    with process(argv, {}, folder / "beside.log") as running:
        yield running
        assert running.poll() is None, (folder / "beside.log").read_text()[-2000:]
        running.kill()
