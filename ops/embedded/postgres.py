"""A real PostgreSQL of our own: made, started, stopped and started again under a home folder."""

import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg

from ops.embedded.binaries import find_postgres
from ops.embedded.errors import EmbeddedError, tail
from ops.embedded.identity import Lodging, give, lodge, server_environment
from ops.embedded.ports import RememberedPorts
from ops.embedded.process import GuardedProcess, Launch, run_to_end, wait_until

DATABASE = "ledgerbeat"
USER = "app"
START_SECONDS_MAX = 120.0  # recovery after a kill under load takes its time
INITDB_SECONDS_MAX = 120.0
ORPHAN_SECONDS_MAX = 30.0
TRIES_MAX = 30
TRY_PAUSE_SECONDS = 0.1
LADDER = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0))  # fast, then immediate shutdown
HOST_BASED_AUTHENTICATION = "host all all 127.0.0.1/32 trust\n"
SETTINGS = {
    "timezone": "UTC",
    "log_timezone": "UTC",
    "shared_buffers": "128MB",
    "max_connections": "200",
    "shared_preload_libraries": "",
}
# Commits stay synchronous: what was committed must outlive a killed server, though not a power cut.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class PostgresServer:
    """One PostgreSQL under `home`; its data folder carries the major version in its name."""

    def __init__(self, home: Path, *, durable: bool, settings: Mapping[str, str], lock: int) -> None:
        self._home = home
        self._log = home / "logs" / "postgres.log"
        self._lock = lock
        self._ports = RememberedPorts(home)
        self._settings = {**SETTINGS, **({} if durable else NOT_DURABLE), **settings}
        self._process: GuardedProcess | None = None
        self.port = 0

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{DATABASE}"

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *, same_port: bool = False) -> None:
        """Start it and wait until it answers; raises EmbeddedError with the last lines it wrote."""
        binaries = find_postgres()
        lodging = lodge(binaries, self._home, self._log, self._lock)
        data = self._data(lodging, f"postgres-{binaries.major}")
        end_orphan(data / "postmaster.pid", data)
        for _ in range(TRIES_MAX):
            if not same_port:
                self.port = self._ports.pick("postgres")
            if self._launch(lodging, data):
                self._ports.remember("postgres", self.port)
                return
            time.sleep(TRY_PAUSE_SECONDS)
        raise EmbeddedError(
            f"PostgreSQL could not take port {self.port} in {TRIES_MAX} tries: see {self._log}"
        )

    def stop(self, *, immediate: bool = False) -> None:
        """Stop it: cleanly, or (`immediate`) as a crash would, so that it recovers at the next start."""
        if self._process is None:
            return
        if immediate:
            self._process.kill(signal.SIGQUIT)
        self._process.stop()
        self._process = None

    def _data(self, lodging: Lodging, name: str) -> Path:
        """The data folder, made when there is none, and in the hands of who will run the server."""
        data = (self._home / name).resolve()
        if not (data / "PG_VERSION").exists():
            data = lodging.data_parent / name
            self._initialise(lodging, data)
        if data.parent != self._home and not (self._home / name).exists():
            (self._home / name).symlink_to(data)
        give(data, lodging.identity)
        return data

    def _initialise(self, lodging: Lodging, data: Path) -> None:
        """initdb beside the place and then one rename, so that a killed start leaves nothing half made."""
        partial = data.with_name(f"{data.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        give(partial, lodging.identity)
        argv = [str(lodging.binaries / "initdb"), "-D", str(partial), "-U", USER, "-A", "trust", "-E", "UTF8"]
        options = ["--locale=C", "--no-sync", "--no-instructions"]
        launch = self._launching(lodging, [*argv, *options])
        if run_to_end(launch, INITDB_SECONDS_MAX) != 0:
            raise EmbeddedError(
                f"initdb could not make {data}:\n{tail(self._log)}\n{advice(tail(self._log))}"
            )
        (partial / "pg_hba.conf").write_text(HOST_BASED_AUTHENTICATION)
        partial.rename(data)

    def _launch(self, lodging: Lodging, data: Path) -> bool:
        """Start on `self.port` and wait; False when it is worth another try: somebody else has the port."""
        argv = [str(lodging.binaries / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(self.port)]
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        launch = self._launching(lodging, [*argv, "-k", "", *options])
        process = self._process = GuardedProcess(launch)
        answers = wait_until(lambda: process.poll() is not None or self._answers(), START_SECONDS_MAX)
        if answers and process.poll() is None:
            self._create_database()
            return True
        self.stop()
        said = tail(self._log, process.log_start)
        if (
            "could not bind" in said or "still in use" in said
        ):  # the latter by a killed server's last children
            return False
        raise EmbeddedError(f"PostgreSQL did not start on port {self.port}:\n{said}\n{advice(said)}")

    def _launching(self, lodging: Lodging, argv: list[str]) -> Launch:
        return Launch(
            argv,
            self._log,
            server_environment(),
            ladder=LADDER,
            identity=lodging.identity.how,
            keeps_open=(self._lock,),
        )

    def _connect(self) -> "psycopg.Connection[tuple[str]]":
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            dbname="postgres",
            connect_timeout=20,
            autocommit=True,
        )

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _create_database(self) -> None:
        with self._connect() as connection:
            found = connection.execute("SELECT datname FROM pg_database WHERE datname = %s", [DATABASE])
            if found.fetchone() is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")


def end_orphan(pid_file: Path, data: Path) -> None:
    """See to a pid file that an earlier server left behind.

    The server's own check takes any living process of that number for itself and refuses to start, which after a
    reboot, or in a container, is often somebody else. A server that really still runs on this data, its guard
    having been killed, is stopped: the home's lock says that nobody else uses it.
    """
    try:
        pid = int(pid_file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return
    if runs_on(pid, data):
        os.kill(pid, signal.SIGINT)
        if not wait_until(lambda: not runs_on(pid, data), ORPHAN_SECONDS_MAX):
            raise EmbeddedError(
                f"a PostgreSQL that an earlier run left (process {pid}) does not stop: kill it"
            )
    elif is_alive(pid):
        pid_file.unlink()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def runs_on(pid: int, data: Path) -> bool:
    """Is this process a PostgreSQL server on that data folder?"""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return Path(arguments[0]).name == "postgres" and str(data) in arguments


ADVICE = (
    (
        "No space left",
        "the disk is full: free some space, or set LEDGERBEAT_HOME to a folder on another disk",
    ),
    ("could not access directory", "the data folder cannot be read: check who owns LEDGERBEAT_HOME"),
    ("ermission denied", "a file may not be read or written: check who owns LEDGERBEAT_HOME"),
    ("invalid locale", "the locale is refused: unset LANG and LC_*, then start again"),
    ("shared memory", "too little shared memory: stop other servers, or raise the container's limit"),
    ("incompatible with server", "the data is of another PostgreSQL version: move LEDGERBEAT_HOME aside"),
    ("bogus data in lock file", "postmaster.pid is damaged: delete it, no server runs on this home"),
)


def advice(said: str) -> str:
    """What to do about the last lines a server wrote."""
    for needle, text in ADVICE:
        if needle in said:
            return text
    return "move LEDGERBEAT_HOME aside to start with empty data, or set LEDGERBEAT_DATABASE_URL to a server of yours"
