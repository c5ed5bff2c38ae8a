"""Everything that runs, on one machine: servers, migrations, workers, Beat, shim, Flower, sandbox provider.

`ledgerbeat up`, the demo and the end-to-end tests all start this. What is not configured is made: servers under
the home, a development configuration with random secrets, free ports where a port is 0.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from models.errors import LedgerbeatError
from ops.development import write_development_config
from ops.embedded import EmbeddedError, EmbeddedServices
from ops.embedded.ports import free_port, is_free
from ops.embedded.services import make_home
from ops.migrate import migrate
from ops.processes import EVERYTHING, Addresses, processes, sandbox_account
from ops.supervisor import Supervisor
from worker.settings import PREFIX, load_settings

SANDBOX_PORT = 8090
TEND_SECONDS_MIN = 0.25
TEND_SECONDS_MAX = 10.0


class PortTaken(LedgerbeatError):
    """A port that was asked for by number is in use; the message names the setting."""


class Stack:
    """One running Ledgerbeat. A context manager; everything it started ends with it, or with this process.

    `names` chooses among EVERYTHING (in the order they start); `workers`, `payouts` and `beats` start several of
    those, as `worker`, `worker-2`, ... A port of None comes from the settings, 0 picks a free one. `environment` is
    laid over this process's own; with DATABASE_URL and REDIS_URL in it no servers are started. `say` gets a line per
    event.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        names: Collection[str] = EVERYTHING,
        workers: int = 1,
        payouts: int = 1,
        beats: int = 1,
        http_port: int | None = None,
        flower_port: int | None = None,
        sandbox_port: int | None = None,
        environment: Mapping[str, str] | None = None,
        durable: bool = True,
        say: Callable[[str], object] = str,
        echo: bool = False,
    ) -> None:
        self._given = {**os.environ, **(environment or {})}
        settings = load_settings(self._given)
        self.home = (home or settings.home).absolute()
        self._settings = settings
        self._names, self._counts = tuple(names), {"worker": workers, "payouts": payouts, "beat": beats}
        self._ports = (
            settings.http_port if http_port is None else http_port,
            settings.flower_port if flower_port is None else flower_port,
            int(self._given.get(f"{PREFIX}SANDBOX_PORT", SANDBOX_PORT))
            if sandbox_port is None
            else sandbox_port,
        )
        self._durable, self._say, self._echo = durable, say, echo
        self._held = contextlib.ExitStack()
        self._stopping = threading.Event()
        self.servers: EmbeddedServices | None = None
        """The embedded servers, to stop and start them in a test; None when the settings name others."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and wait until it is ready. Raises LedgerbeatError; nothing is left then."""
        with contextlib.ExitStack() as held:
            make_home(self.home)
            self.addresses = self._addresses()
            self.environment = self._environment(self._start_servers(held))
            self.settings = load_settings(self.environment)
            self.sandbox = sandbox_account(self.settings)
            migrate(self.settings)
            self.supervisor = Supervisor(
                processes(
                    self._chosen(), self._counts, self.environment, self.addresses, self.sandbox, self.home
                ),
                self.home / "logs",
                say=self._say,
                echo=self._echo,
            )
            held.callback(self.supervisor.stop)
            self.supervisor.start()
            self._held = held.pop_all()

    def stop(self) -> None:
        """Stop everything in reverse order, within bounds. May be called again."""
        self._held.close()

    @property
    def http_url(self) -> str:
        return self.addresses.http

    @property
    def flower_url(self) -> str:
        return self.addresses.flower

    @property
    def sandbox_url(self) -> str:
        return self.addresses.sandbox

    @property
    def is_development(self) -> bool:
        """Is the tenant our own, because no configuration was named?"""
        return self._settings.config is None

    def pids(self) -> dict[str, int | None]:
        """The processes by name, with the embedded servers as `postgres` and `redis`."""
        found = self.supervisor.pids()
        if self.servers is not None:
            now = self.servers.services
            found |= {"postgres": now.postgres_pid or None, "redis": now.redis_pid or None}
        return found

    def pid(self, name: str) -> int | None:
        return self.pids()[name]

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a process, or an embedded server, a signal. It is started again when that ends it."""
        pid = self.pid(name)
        if pid is not None:
            os.kill(pid, number)

    def stop_one(self, name: str) -> None:
        """Stop one process and leave it so until `start_one`."""
        self.supervisor.stop_one(name)

    def start_one(self, name: str) -> None:
        self.supervisor.start_one(name)

    def _chosen(self) -> list[str]:
        """Without an account at it, nobody would talk to the sandbox."""
        return [name for name in self._names if name != "sandbox" or self.sandbox is not None]

    def _addresses(self) -> Addresses:
        http, flower, sandbox = self._ports
        account = sandbox_account(self._settings)
        if account is not None:
            sandbox = account.port
        return Addresses(
            take_port(http, "HTTP_PORT", "shim" in self._names),
            take_port(flower, "FLOWER_PORT", "flower" in self._names),
            take_port(sandbox, "SANDBOX_PORT", "sandbox" in self._names),
        )

    def _start_servers(self, held: contextlib.ExitStack) -> dict[str, str]:
        """Start what the settings do not name, and say where it is."""
        database, redis = self._settings.database_url is None, self._settings.redis_url is None
        if not database and not redis:
            return {}
        self.servers = EmbeddedServices(
            self.home, durable=self._durable, with_postgres=database, with_redis=redis
        )
        held.callback(self.servers.stop)
        started = self.servers.start()
        self._stopping.clear()
        tender = threading.Thread(target=self._tend, args=(self.servers,), name="tender", daemon=True)
        tender.start()
        held.callback(tender.join)
        held.callback(self._stopping.set)
        urls = {"DATABASE_URL": started.database_url} if database else {}
        return urls | ({"REDIS_URL": started.redis_url} if redis else {})

    def _tend(self, servers: EmbeddedServices) -> None:
        """Start again whatever server dies, with a growing pause while that fails."""
        pause = TEND_SECONDS_MIN
        while not self._stopping.wait(pause):
            try:
                for name in servers.revive():
                    self._say(f"{name}: died, and was started again")
                pause = TEND_SECONDS_MIN
            except EmbeddedError as error:
                pause = min(2 * pause, TEND_SECONDS_MAX)
                self._say(f"{error}; trying again in {pause:g} s")

    def _environment(self, urls: Mapping[str, str]) -> dict[str, str]:
        """What every process is given: all of ours, with each setting by its value."""
        chosen = {
            "HOME": str(self.home),
            "HTTP_PORT": str(self.addresses.http_port),
            "FLOWER_PORT": str(self.addresses.flower_port),
            **self._urls(),
            **urls,
        }
        config = self._settings.config or write_development_config(self.home, self.addresses.sandbox)
        chosen["CONFIG"] = str(config.absolute())
        files = {f"{PREFIX}{name}_FILE" for name in chosen}
        kept = {name: value for name, value in self._given.items() if name not in files}
        return kept | {PREFIX + name: value for name, value in chosen.items()} | {"PYTHONUNBUFFERED": "1"}

    def _urls(self) -> dict[str, str]:
        named = {
            "DATABASE_URL": self._settings.database_url,
            "REDIS_URL": self._settings.redis_url,
            "BROKER_URL": self._settings.broker_url,
        }
        return {name: url for name, url in named.items() if url is not None}


def take_port(port: int, setting: str, needed: bool) -> int:
    """`port` when it is free, any free one for 0. Raises PortTaken, which names the setting."""
    if port == 0:
        return free_port()
    if needed and not is_free(port):
        raise PortTaken(
            f"port {port} is in use: stop what listens there, or set {PREFIX}{setting} to another port"
        )
    return port
