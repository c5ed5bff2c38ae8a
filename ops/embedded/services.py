"""PostgreSQL and Redis of our own, together, under one home folder. Development, demo and tests; never production."""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from ops.embedded.errors import EmbeddedError
from ops.embedded.postgres import PostgresServer
from ops.embedded.process import wait_until
from ops.embedded.redis import RedisServer

OWNER_SECONDS_MAX = 1.0  # one that was just killed lets go within moments
EARLIER_RUN_SECONDS_MAX = 60.0


@dataclass(frozen=True)
class Services:
    """Where the servers are now; the process numbers change when one is started again."""

    database_url: str
    redis_url: str
    postgres_pid: int
    redis_pid: int


class EmbeddedServices:
    """Both servers, or one of them, as one context manager. They are stopped on exit, and also when this process
    is killed with -9.

    `durable=False` is for tests: nothing is synced to disk, so a power cut loses data; a killed server does not.
    One process at a time uses a home; a second one is refused. Methods may be called from several threads.
    """

    def __init__(
        self,
        home: Path,
        *,
        durable: bool = True,
        postgres_settings: Mapping[str, str] | None = None,
        with_postgres: bool = True,
        with_redis: bool = True,
    ) -> None:
        self.home = Path(home).absolute()
        self._durable = durable
        self._settings = dict(postgres_settings or {})
        self._busy = threading.RLock()
        self._held: contextlib.ExitStack | None = None
        self._chosen = [
            name for name, chosen in (("redis", with_redis), ("postgres", with_postgres)) if chosen
        ]
        self._wanted: set[str] = set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Services:
        """Start them and return where they are; raises EmbeddedError that says what to do. Nothing is left then."""
        with self._busy, contextlib.ExitStack() as held:
            if self._held is not None:
                raise EmbeddedError(f"the servers of {self.home} were started already")
            make_home(self.home)
            held.enter_context(owned(self.home))
            lock = held.enter_context(servers_lock(self.home))
            self.postgres = PostgresServer(
                self.home, durable=self._durable, settings=self._settings, lock=lock
            )
            self.redis = RedisServer(self.home, durable=self._durable, lock=lock)
            for name in self._chosen:
                held.callback(self._server(name).stop)
                self._server(name).start()
            self._wanted = set(self._chosen)
            self._held = held.pop_all()
            return self.services

    @property
    def services(self) -> Services:
        return Services(self.postgres.url, self.redis.url, self.postgres.pid, self.redis.pid)

    def stop(self) -> None:
        """Stop them, bounded; nothing happens when they are stopped already."""
        with self._busy:
            if self._held is not None:
                held, self._held = self._held, None
                held.close()

    def stop_postgres(self, *, immediate: bool = False) -> None:
        """Stop PostgreSQL (`immediate`: as a crash would) and leave it so."""
        with self._busy:
            self._must_be_started("postgres")
            self._wanted.discard("postgres")
            self.postgres.stop(immediate=immediate)

    def start_postgres(self) -> Services:
        """Start PostgreSQL again on the port it had."""
        return self._start_again("postgres")

    def restart_postgres(self, *, immediate: bool = False) -> Services:
        """Stop PostgreSQL (`immediate`: as a crash would) and start it again on the same port."""
        with self._busy:
            self.stop_postgres(immediate=immediate)
            return self.start_postgres()

    def stop_redis(self) -> None:
        """Stop Redis and leave it so."""
        with self._busy:
            self._must_be_started("redis")
            self._wanted.discard("redis")
            self.redis.stop()

    def start_redis(self) -> Services:
        """Start Redis again on the port it had."""
        return self._start_again("redis")

    def revive(self) -> list[str]:
        """Start again, on its port, whatever died by itself; the names of what had died."""
        with self._busy:
            if self._held is None:
                return []
            died = [
                name for name in self._chosen if name in self._wanted and not self._server(name).is_running()
            ]
            for name in died:
                self._start_again(name)
            return died

    def _start_again(self, name: str) -> Services:
        with self._busy:
            self._must_be_started(name)
            self._wanted.add(name)
            server = self._server(name)
            if not server.is_running():
                server.stop()  # lets go of what is left of one that died
                server.start(same_port=True)
            return self.services

    def _server(self, name: str) -> PostgresServer | RedisServer:
        return self.postgres if name == "postgres" else self.redis

    def _must_be_started(self, name: str) -> None:
        if self._held is None or name not in self._chosen:
            raise EmbeddedError(f"{name} of {self.home} was not started here")


def make_home(home: Path) -> None:
    """A home that other users may pass through, as PostgreSQL's may have to, and not look into."""
    try:
        home.mkdir(parents=True)
        home.chmod(0o711)
    except FileExistsError:
        return
    except OSError as error:
        raise EmbeddedError(
            f"cannot make {home} ({error.strerror}): set LEDGERBEAT_HOME to a folder that may be written"
        ) from error


@contextlib.contextmanager
def owned(home: Path) -> Iterator[None]:
    """Be the only process that uses this home; raises EmbeddedError when another does."""
    with open_lock(home / "owner.lock") as handle:
        if not locked_within(handle, OWNER_SECONDS_MAX):
            owner = os.pread(handle, 20, 0).decode().strip() or "unknown"
            raise EmbeddedError(
                f"{home} is in use by process {owner}: stop that one, or set LEDGERBEAT_HOME to another folder"
            )
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield


@contextlib.contextmanager
def servers_lock(home: Path) -> Iterator[int]:
    """A lock that the servers' guards hold too: after a kill it is free once the last server is gone."""
    with open_lock(home / "servers.lock") as handle:
        if not locked_within(handle, EARLIER_RUN_SECONDS_MAX):
            raise EmbeddedError(
                f"servers of an earlier run on {home} still run after {EARLIER_RUN_SECONDS_MAX:g} s: "
                f"see {home / 'logs'}, then kill them"
            )
        yield handle


def locked_within(handle: int, seconds: float) -> bool:
    def locked() -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    return wait_until(locked, seconds)


@contextlib.contextmanager
def open_lock(file: Path) -> Iterator[int]:
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise EmbeddedError(
            f"cannot write {file} ({error.strerror}): set LEDGERBEAT_HOME to a folder that may be written"
        ) from error
    try:
        yield handle
    finally:
        os.close(handle)
