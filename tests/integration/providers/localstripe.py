"""localstripe, somebody else's stand-in for Stripe, in a process and a venv of its own: it wants older libraries.

The venv is made once from the package index and kept in pytest's cache folder.
"""

import fcntl
import os
import re
import subprocess
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# localstripe and all that it needs, so that the same is installed everywhere
PACKAGES = (
    "aiohappyeyeballs==2.7.1",
    "aiohttp==3.14.5",
    "aiosignal==1.4.0",
    "attrs==26.1.0",
    "frozenlist==1.8.0",
    "idna==3.20",
    "localstripe==1.15.10",
    "multidict==7.2.1",
    "propcache==0.5.4",
    "python-dateutil==4.0.0",
    "typing-extensions==4.16.0",
    "tzdata==2026.6",
    "yarl==1.25.1",
)
INSTALL_SECONDS_MAX = 300
_RUNNING = re.compile(r"Running on http://\S*:(\d+) ")


@contextmanager
def running_localstripe(folder: Path) -> Iterator[str]:
    """Its URL. Installed into `folder` first, by whoever comes first."""
    argv = [str(_installed(folder)), "-u", "-m", "localstripe", "--port", "0", "--from-scratch"]
    server = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield f"http://127.0.0.1:{_port(server)}"
    finally:
        server.terminate()
        server.communicate(timeout=60)


def _installed(folder: Path) -> Path:
    python, done = folder / "venv" / "bin" / "python", folder / "installed"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_text() != _fingerprint():
            _install(folder / "venv", python)
            done.write_text(_fingerprint())
    return python


def _fingerprint() -> str:
    return "\n".join([os.path.realpath("/proc/self/exe"), *PACKAGES])


def _install(place: Path, python: Path) -> None:
    venv.create(place, with_pip=True, clear=True)
    argv = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        *PACKAGES,
    ]
    subprocess.run(argv, check=True, capture_output=True, timeout=INSTALL_SECONDS_MAX)


def _port(server: subprocess.Popen[str]) -> int:
    assert server.stdout is not None
    for line in server.stdout:
        if found := _RUNNING.search(f"{line.rstrip()} "):
            return int(found[1])
    raise AssertionError("localstripe ended before it listened")
