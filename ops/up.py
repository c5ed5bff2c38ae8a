"""`ledgerbeat up`: everything on one machine, in the foreground, until Ctrl-C."""

import signal
import threading
from contextlib import ExitStack
from types import FrameType
from urllib.parse import urlsplit, urlunsplit

from ops.development import TENANT, development_secret
from ops.processes import FLOWER_USER
from ops.running import announce, withdraw
from ops.stack import Stack


def run() -> int:
    """Start everything, print one line for each address, wait for SIGINT or SIGTERM, stop everything; 0."""
    stop = threading.Event()
    with ExitStack() as held:
        # Also where a shell started us in the background, with SIGINT ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            held.callback(signal.signal, number, signal.signal(number, interrupt))
        try:
            stack = held.enter_context(Stack(say=say))
            announce(stack.home, stack.environment)
            held.callback(withdraw, stack.home)
            for line in addresses(stack):
                say(line)
            stop.wait()
        except KeyboardInterrupt:
            say("stopping ...")
            for number in (
                signal.SIGINT,
                signal.SIGTERM,
            ):  # a second Ctrl-C does not leave things half stopped
                signal.signal(number, signal.SIG_IGN)
    say("stopped")
    return 0


def interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def addresses(stack: Stack) -> list[str]:
    lines = [f"shim      {stack.http_url} (jobs and webhooks; {stack.http_url}/metrics)"]
    if stack.sandbox is not None:
        lines.append(f"sandbox   http://127.0.0.1:{stack.sandbox.port} (tenant {stack.sandbox.tenant})")
    password = development_secret(stack.home, "flower-password")
    lines += [
        f"flower    {stack.flower_url} (user {FLOWER_USER}, password {password})",
        f"database  {without_password(stack.settings.require_database_url())}",
        f"redis     {without_password(stack.settings.require_redis_url())}",
        f"config    {stack.settings.config}",
        f"logs      {stack.home / 'logs'}",
    ]
    if stack.is_development:
        lines.append(f"token     {stack.home / 'secrets' / 'api-token'} (tenant {TENANT})")
    return [*lines, "ready; Ctrl-C stops everything"]


def without_password(url: str) -> str:
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=user.partition(":")[0] + at + host, query=""))


def say(line: str) -> None:
    print(line, flush=True)
