"""Homes for embedded servers, and processes that hold them."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ops.bootstrap import ROOT
from ops.embedded import EmbeddedServices

HOLDER = Path(__file__).with_name("holder.py")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home below a folder that only its owner may enter."""
    tmp_path.chmod(0o700)
    return tmp_path / "home"


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A home that every user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="ledgerbeat-test-"))
    folder.chmod(0o755)
    yield folder / "home"
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServices]:
    """Servers for the tests of one file, each of which leaves them running."""
    with EmbeddedServices(tmp_path_factory.mktemp("embedded") / "home", durable=False) as started:
        yield started


@pytest.fixture
def hold() -> Iterator[Callable[..., "Holder"]]:
    """Starts processes that hold servers; none is left at the end."""
    with ExitStack() as stack:

        def start(home: Path, prepare: Callable[[], None] | None = None) -> Holder:
            holder = Holder(home, prepare)
            stack.callback(holder.end)
            return holder

        yield start


class Holder:
    """One process with embedded servers; `said` is what it told about them."""

    def __init__(self, home: Path, prepare: Callable[[], None] | None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HOLDER), str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=prepare,  # noqa: PLW1509 - what it does needs no lock
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.said: dict[str, Any] = json.loads(line)

    def end(self) -> None:
        """Let go as one does on Ctrl-D, unless it is dead already."""
        self.process.communicate(timeout=120)


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Run one statement in autocommit and return its rows, if it has any."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        answer = connection.execute(sql.encode())
        return answer.fetchall() if answer.description else []


def gone(pid: int) -> bool:
    """Is this process no more (or only a zombie that its parent has not collected)?"""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return not alive(pid)
    return state == "Z"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
