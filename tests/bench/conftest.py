"""The benchmarks: one cluster, one report. They run when they are named (`python3 -m ops bench`), never with the tests.

No figure fails a benchmark: machines differ and are busy. Only wrong results do.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ops.embedded import EmbeddedServices
from tests.bench.report import RESULTS, Report
from tests.conftest import Server
from worker.telemetry import configure_logging

HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="the long sizes: takes half an hour and 10 GB of disk"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Left out unless the command line names something in here."""
    named = (config.invocation_params.dir / argument.split("::")[0] for argument in config.args)
    return None if any(path.resolve().is_relative_to(HERE) for path in named) else True


@pytest.fixture(scope="session")
def full(pytestconfig: pytest.Config) -> bool:
    """Are the long sizes asked for?"""
    return bool(pytestconfig.getoption("--full"))


@pytest.fixture(scope="session")
def report(full: bool) -> Iterator[Report]:
    """Gathers the lines; printed and written at the end, even when a benchmark broke."""
    configure_logging("json", logging.WARNING)
    logging.getLogger("ledgerbeat").setLevel(logging.WARNING)
    report = Report(full)
    yield report
    if report.lines:
        print(f"\n\n{report.table()}\n")
        RESULTS.write_text(report.text())


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedServices]:
    """A cluster of the benchmarks' own, which syncs its commits to disk as a real one does."""
    home = Path(tempfile.mkdtemp(prefix="ledgerbeat-bench-"))
    home.chmod(0o711)
    try:
        with EmbeddedServices(home, postgres_settings={"shared_buffers": "256MB"}) as embedded:
            yield embedded
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def services(embedded: EmbeddedServices, report: Report) -> Server:
    """In place of the tests' servers, so that `database_url` and its kin are of this cluster."""
    found = embedded.services
    with psycopg.connect(found.database_url.replace("+psycopg", "")) as connection:
        row = connection.execute("SELECT version()").fetchone()
    report.servers.append(str(row[0] if row else "").partition(" on ")[0] + ", embedded, commits synced")
    return Server(found.database_url, found.redis_url)


@pytest.fixture(scope="session")
def servers(embedded: EmbeddedServices) -> list[int]:
    """The process ids of the servers."""
    return [embedded.services.postgres_pid, embedded.services.redis_pid]


@pytest.fixture(scope="session")
def pgledger_sql() -> str | None:
    """pgledger's published SQL: the files that LEDGERBEAT_BENCH_PGLEDGER names, in order, with `:` between them.

    They are `vendor/scoville-pgsql-ulid/uuid-to-ulid.sql` and `pgledger.sql` of github.com/pgr0ss/pgledger.
    """
    named = os.environ.get("LEDGERBEAT_BENCH_PGLEDGER", "")
    return "\n".join(Path(path).read_text() for path in named.split(os.pathsep)) if named else None
