"""How far the senders may be: their load is spread over the strikes, however long each of those takes."""

import threading
import time

LOOK_SECONDS = 0.02


class Stopped(Exception):
    """The run is over before its time."""


class Pace:
    """Of `steps` steps, those begun may be sent; of the newest one as much as its seconds have passed."""

    def __init__(self, steps: int, *, within_seconds: float) -> None:
        self._steps = steps
        self._lock = threading.Lock()
        self._begun, self._began_at, self._seconds = 0, 0.0, 1.0
        self._deadline = time.monotonic() + within_seconds

    def begin_step(self, seconds: float) -> None:
        """The next step, meant to take so long."""
        with self._lock:
            self._begun, self._began_at, self._seconds = self._begun + 1, time.monotonic(), max(seconds, 0.1)

    def wait_for(self, share: float) -> None:
        """Until that share of the load may have been sent. Raises Stopped when the run has lasted too long."""
        while self.allowed() < share:
            if time.monotonic() > self._deadline:
                raise Stopped
            time.sleep(LOOK_SECONDS)

    def allowed(self) -> float:
        with self._lock:
            if self._begun == 0:
                return 0.0
            passed = min(1.0, (time.monotonic() - self._began_at) / self._seconds)
            return (self._begun - 1 + passed) / self._steps
