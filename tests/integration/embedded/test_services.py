"""Embedded servers: they start, stop, come back, refuse a second user, and end when we do."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import redis

from ops.embedded import EmbeddedError, EmbeddedServices, binaries
from ops.embedded.ports import is_free
from ops.embedded.process import wait_until
from tests.integration.embedded.conftest import Holder, gone, query


def ping(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        return bool(client.ping())


def test_both_answer_with_the_promised_settings(servers: EmbeddedServices) -> None:
    url = servers.services.database_url
    shown = {name: query(url, f"SHOW {name}")[0][0] for name in ("timezone", "listen_addresses", "fsync")}
    assert shown == {"timezone": "UTC", "listen_addresses": "127.0.0.1", "fsync": "off"}
    assert query(url, "SHOW unix_socket_directories") == [("",)]
    assert query(url, "SELECT current_user, current_database()") == [("app", "ledgerbeat")]
    with redis.Redis.from_url(servers.services.redis_url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_data_outlives_a_restart_and_a_crash_on_the_same_address(servers: EmbeddedServices) -> None:
    before = servers.services
    query(before.database_url, "CREATE TABLE kept AS SELECT 7 AS n")
    for immediate in (False, True):
        after = servers.restart_postgres(immediate=immediate)
        assert (after.database_url, query(after.database_url, "SELECT n FROM kept")) == (
            before.database_url,
            [(7,)],
        )
        assert after.postgres_pid != before.postgres_pid


def test_redis_comes_back_on_its_port(servers: EmbeddedServices) -> None:
    url = servers.services.redis_url
    servers.stop_redis()
    with pytest.raises(redis.ConnectionError):
        ping(url)
    assert servers.revive() == []
    assert servers.start_redis().redis_url == url
    assert ping(url)


def test_a_stopped_postgres_stays_down_until_it_is_started(servers: EmbeddedServices) -> None:
    url = servers.services.database_url
    servers.stop_postgres()
    assert servers.revive() == []
    with pytest.raises(psycopg.OperationalError):
        query(url, "SELECT 1")
    assert servers.start_postgres().database_url == url
    assert query(url, "SELECT 1") == [(1,)]


def test_one_of_the_two_may_be_left_out(home: Path) -> None:
    with EmbeddedServices(home, durable=False, with_postgres=False) as servers:
        assert ping(servers.services.redis_url)
        assert servers.services.postgres_pid == 0
        assert servers.revive() == []
        with pytest.raises(EmbeddedError, match=r"postgres of .* was not started here"):
            servers.start_postgres()


def test_killed_servers_are_revived_with_their_data(servers: EmbeddedServices) -> None:
    before = servers.services
    query(before.database_url, "CREATE TABLE survived AS SELECT generate_series(1, 1000)")
    os.kill(before.postgres_pid, signal.SIGKILL)
    os.kill(before.redis_pid, signal.SIGKILL)
    assert wait_until(lambda: not servers.postgres.is_running() and not servers.redis.is_running(), 60)
    assert servers.revive() == ["redis", "postgres"]
    assert query(before.database_url, "SELECT count(*) FROM survived") == [(1000,)]
    assert ping(before.redis_url)


def test_stop_leaves_nothing_and_may_be_repeated(home: Path) -> None:
    servers = EmbeddedServices(home)
    said = servers.start()
    assert query(said.database_url, "SHOW fsync") == [("on",)]
    servers.stop()
    servers.stop()
    assert gone(said.postgres_pid)
    assert gone(said.redis_pid)
    assert servers.start().database_url == said.database_url
    servers.stop()


def test_a_second_user_of_a_home_is_refused(servers: EmbeddedServices) -> None:
    with pytest.raises(
        EmbeddedError, match=f"in use by process {os.getpid()}: stop that one, or set LEDGERBEAT_HOME"
    ):
        EmbeddedServices(servers.home).start()
    assert ping(servers.services.redis_url)


@pytest.mark.parametrize("killed_twice", [False, True], ids=["parent", "parent and guards"])
def test_a_killed_parent_leaves_no_server_and_no_damage(
    home: Path, hold: Callable[..., Holder], killed_twice: bool
) -> None:
    holder = hold(home)
    query(holder.said["database_url"], "CREATE TABLE kept AS SELECT 7 AS n")
    guards = [parent_of(holder.said[name]) for name in ("postgres_pid", "redis_pid")]
    holder.process.kill()
    holder.process.wait(60)
    if killed_twice:
        for guard in guards:
            os.kill(guard, signal.SIGKILL)
    with EmbeddedServices(home, durable=False) as servers:
        assert gone(holder.said["postgres_pid"])
        assert query(servers.services.database_url, "SELECT n FROM kept") == [(7,)]
    assert wait_until(lambda: all(gone(pid) for pid in (holder.said["redis_pid"], *guards)), 60)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_stale_pid_file_that_names_a_living_stranger_is_recognised(home: Path) -> None:
    with EmbeddedServices(home, durable=False) as servers:
        data = (home / f"postgres-{binaries.find_postgres().major}").resolve()
        left = (data / "postmaster.pid").read_text()
        assert str(servers.services.postgres_pid) in left
    stranger = left.replace(left.splitlines()[0], str(os.getpid()), 1)
    (data / "postmaster.pid").write_text(stranger)
    with EmbeddedServices(home, durable=False) as servers:
        assert query(servers.services.database_url, "SELECT 1") == [(1,)]


def test_a_start_that_was_killed_during_initdb_is_begun_anew(home: Path) -> None:
    partial = home / f"postgres-{binaries.find_postgres().major}.partial"
    partial.mkdir(parents=True)
    (partial / "PG_VERSION").write_text("18\n")
    with EmbeddedServices(home, durable=False) as servers:
        assert query(servers.services.database_url, "SELECT 1") == [(1,)]
    assert not partial.exists()


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(home: Path) -> None:
    servers = EmbeddedServices(home, durable=False, postgres_settings={"work_mem": "many"})
    with pytest.raises(EmbeddedError, match='invalid value for parameter "work_mem": "many"'):
        servers.start()
    assert is_free(servers.redis.port)


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match="set LEDGERBEAT_HOME to a folder that may be written"):
        EmbeddedServices(tmp_path / "file" / "home").start()


@pytest.mark.parametrize(
    ("find", "setting"),
    [(binaries.find_postgres, "LEDGERBEAT_DATABASE_URL"), (binaries.find_redis, "LEDGERBEAT_REDIS_URL")],
)
def test_a_missing_program_says_what_to_install(
    find: Callable[[], object], setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "package_folder", lambda _: None)
    monkeypatch.setattr(binaries, "POSTGRES_FOLDERS", ())
    monkeypatch.setenv("PATH", "")
    uncached = find.__wrapped__  # type: ignore[attr-defined] # what functools.cache wraps
    with pytest.raises(EmbeddedError, match=rf"run `python3 -m ops setup`.*package, or set {setting}"):
        uncached()
