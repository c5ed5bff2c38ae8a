"""The webhook door against a bare endpoint that verifies and INSERTs: its peak, and its latency below the peak."""

import statistics
from itertools import count
from pathlib import Path

from tests.bench.generator import load, post
from tests.bench.measuring import Done, Side, interleaved, median_rate
from tests.bench.report import Report
from tests.bench.running import connected, environment, number, web
from tests.integration.http.requests import SANDBOX, captured, signed

ROUNDS = 5
REQUESTS = 2_500
LATENCY_SECONDS = 5
CONNECTIONS = (256, 64)
"""A crowd, then those that the latencies are taken with."""

numbers = count(1)


def webhooks(size: int) -> list[bytes]:
    """Signed captures of deposits that nobody told before."""
    found = []
    for each in (next(numbers) for _ in range(size)):
        body = captured(f"evt_{each}", f"order-{each}")
        found.append(post(SANDBOX, signed(body, f"evt_{each}"), body))
    return found


def test_accept(
    database_url: str, redis_url: str, servers: list[int], report: Report, tmp_path: Path
) -> None:
    environ = environment(tmp_path, database_url, redis_url)
    with (
        web("worker.http.app:create_app", environ, tmp_path) as (port, shim),
        web("tests.bench.bare:create_app", environ, tmp_path) as (bare_port, bare),
        connected(database_url) as connection,
    ):

        def sent_to(port: int, connections: int) -> Done:
            return Done(REQUESTS, load(port, webhooks(REQUESTS), connections=connections).seconds)

        for connections in CONNECTIONS:
            found = interleaved(
                [
                    Side("ours", lambda _, at=connections: sent_to(port, at), lambda: [shim, *servers]),  # type: ignore[misc]
                    Side("bare", lambda _, at=connections: sent_to(bare_port, at), lambda: [bare, *servers]),  # type: ignore[misc]
                ],
                rounds=ROUNDS,
            )
            report.ratio(
                "webhook door / bare Starlette endpoint that verifies and INSERTs, one process each, "
                f"{connections} connections",
                found["ours"],
                found["bare"],
                asked=0.8,
            )
        rate = 0.7 * median_rate(found["ours"])
        bare_rate = 0.7 * median_rate(found["bare"])
        latencies, theirs = [], []
        for _ in range(3):
            latencies.append(load(port, webhooks(int(rate * LATENCY_SECONDS)), rate=rate).percentile(0.99))
            sent = load(bare_port, webhooks(int(bare_rate * LATENCY_SECONDS)), rate=bare_rate)
            theirs.append(sent.percentile(0.99))
        report.figure(
            "webhook door: p99 at 70 % of the peak",
            statistics.median(latencies),
            "ms",
            at_most=50,
            rates=f"at {rate:,.0f}; the bare one, at {bare_rate:,.0f}: {statistics.median(theirs):.0f} ms",
        )
        accepted = REQUESTS * (ROUNDS + 1) * len(CONNECTIONS) + int(rate * LATENCY_SECONDS) * len(latencies)
        assert number(connection, "SELECT count(*) FROM jobs WHERE origin = 'provider'") == accepted
