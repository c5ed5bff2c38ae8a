"""A real Valkey or Redis of our own under a home folder: append-only file, nothing ever evicted."""

import signal
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops.embedded.binaries import find_redis
from ops.embedded.errors import EmbeddedError, tail
from ops.embedded.identity import server_environment
from ops.embedded.ports import RememberedPorts
from ops.embedded.process import GuardedProcess, Launch, wait_until

START_SECONDS_MAX = 60.0
TRIES_MAX = 30
TRY_PAUSE_SECONDS = 0.1
LADDER = ((signal.SIGTERM, 10.0),)


class RedisServer:
    """One Redis-compatible server under `home`."""

    def __init__(self, home: Path, *, durable: bool, lock: int) -> None:
        self._data = home / "redis"
        self._log = home / "logs" / "redis.log"
        self._lock = lock
        self._durable = durable
        self._ports = RememberedPorts(home)
        self._process: GuardedProcess | None = None
        self.port = 0

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *, same_port: bool = False) -> None:
        """Start it and wait until it answers; raises EmbeddedError with the last lines it wrote."""
        program = find_redis()
        self._data.mkdir(mode=0o700, exist_ok=True)
        for _ in range(TRIES_MAX):
            if not same_port:
                self.port = self._ports.pick("redis")
            if self._launch(program):
                self._ports.remember("redis", self.port)
                return
            time.sleep(TRY_PAUSE_SECONDS)
        raise EmbeddedError(f"Redis could not take port {self.port} in {TRIES_MAX} tries: see {self._log}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _launch(self, program: Path) -> bool:
        """Start on `self.port` and wait; False when it is worth another try: somebody else has the port."""
        argv = [str(program), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._data)]
        appending = "yes" if self._durable else "no"
        options = ["--appendonly", appending, "--save", "", "--maxmemory-policy", "noeviction"]
        launch = Launch(
            [*argv, *options], self._log, server_environment(), ladder=LADDER, keeps_open=(self._lock,)
        )
        process = self._process = GuardedProcess(launch)
        answers = wait_until(lambda: process.poll() is not None or self._answers(), START_SECONDS_MAX)
        if answers and process.poll() is None:
            return True
        self.stop()
        said = tail(self._log, process.log_start)
        if "already in use" in said:
            return False
        raise EmbeddedError(
            f"Redis did not start on port {self.port}:\n{said}\n"
            f"move {self._data} aside (it holds nudges, no money), or set LEDGERBEAT_REDIS_URL to a server of yours"
        )

    def _answers(self) -> bool:
        """Does this very process answer? Another Redis may hold the port."""
        client = redis.Redis(port=self.port, socket_timeout=1, retry=Retry(NoBackoff(), 0))
        try:
            return bool(client.info("server")["process_id"] == self.pid)
        except redis.RedisError:
            return False
        finally:
            client.close()
