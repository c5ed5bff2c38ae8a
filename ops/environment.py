"""`.venv`, made from the lock and from nothing else. Standard library only.

A stamp inside `.venv` says what it was made from: the locked requirements, what pyproject.toml says of
packaging, the interpreter and the folder. While the stamp fits there is nothing to do. Without one, an
environment that already holds exactly what the lock says is adopted; anything else, such as what a killed
setup left, is made again from nothing.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

STAMP = ".ledgerbeat-stamp"
UNFINISHED = ".ledgerbeat-unfinished"
REQUIREMENTS = "ops/requirements.lock"
PACKAGING = ("project", "dependency-groups", "build-system")
PROBE = """
import importlib.metadata, json, sys
whole = (d for d in importlib.metadata.distributions() if d.read_text("RECORD"))
print(json.dumps([sys.version, sys.base_prefix, {d.name: d.version for d in whole}]))
"""

UNREACHABLE = "the package index is out of reach: check the network and the proxy, and run it again"
NO_VENV = "this Python has no venv module: install it (Debian: apt install python3-venv), or install uv"
ADVICE = (
    ("No space left", "the disk is full: free about 600 MB and run it again"),
    (
        "DO NOT MATCH THE HASHES",
        "a package differs from the locked one: check the package index that is used",
    ),
    ("ensurepip", NO_VENV),
    ("No module named venv", NO_VENV),
    (
        "No matching distribution",
        UNREACHABLE + " (or PIP_INDEX_URL names an index that lacks a locked package)",
    ),
    ("onnection", UNREACHABLE),
    ("name resolution", UNREACHABLE),
    ("ermission denied", "a file may not be written: check who owns this folder and .venv"),
)


class SetupError(Exception):
    """The environment could not be made; the message is one sentence that says what to do."""


def ensure(root: Path) -> bool:
    """Make `.venv` fit the lock; True when there was something to do. Of two at once the second waits."""
    stamp = fingerprint(root)
    if fits(root, stamp):
        return False
    with locked(root):
        if fits(root, stamp):
            return False
        if (root / ".venv" / STAMP).exists() or not in_step(root):
            make(root)
        (root / ".venv" / STAMP).write_text(stamp)
        return True


def interpreter(root: Path) -> Path:
    return root / ".venv" / "bin" / "python"


def fingerprint(root: Path) -> str:
    """What an environment is made from, as one digest."""
    pyproject = tomllib.loads((root / "pyproject.toml").read_text())
    digest = hashlib.sha256()
    for part in (
        (root / "uv.lock").read_bytes(),
        (root / REQUIREMENTS).read_bytes(),
        json.dumps({table: pyproject.get(table) for table in PACKAGING}, sort_keys=True).encode(),
        f"{sys.version}|{sys.base_prefix}|{root}".encode(),
    ):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def fits(root: Path, stamp: str) -> bool:
    try:
        return (root / ".venv" / STAMP).read_text() == stamp and interpreter(root).exists()
    except OSError:
        return False


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the checkout's setup lock, which is on the folder itself, so that no file is left behind.

    Installers inherit it: one that outlives a killed setup keeps the next setup waiting until it is done.
    """
    handle = os.open(root, os.O_RDONLY)
    os.set_inheritable(handle, True)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def in_step(root: Path) -> bool:
    """Does a `.venv` made by other means hold this interpreter, every locked package and this project?"""
    if (root / ".venv" / UNFINISHED).exists() or not interpreter(root).exists():
        return False
    try:
        answer = subprocess.run(
            [interpreter(root), "-I", "-c", PROBE], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    version, prefix, found = json.loads(answer.stdout)
    installed = {canonical(name): number for name, number in found.items()}
    return (
        (version, prefix) == (sys.version, sys.base_prefix)
        and "ledgerbeat" in installed
        and pins((root / REQUIREMENTS).read_text()).items() <= installed.items()
    )


def pins(requirements: str) -> dict[str, str]:
    """Name to version of every requirement without a marker: those hold on every machine."""
    lines = re.finditer(r"^([A-Za-z0-9._-]+)==([^\s;\\]+) *(;.*)?\\$", requirements, re.MULTILINE)
    return {canonical(line[1]): line[2] for line in lines if not line[3]}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def make(root: Path) -> None:
    """Build `.venv`, with uv when it is on PATH, else (or when uv fails) with venv and pip."""
    print(
        f"setting up {root / '.venv'} (the first time takes up to a minute) ...", file=sys.stderr, flush=True
    )
    uv = shutil.which("uv")
    if uv is not None:
        try:
            make_with_uv(root, uv)
        except SetupError as error:
            print(f"uv could not do it ({error}); trying venv and pip ...", file=sys.stderr, flush=True)
        else:
            return
    make_with_pip(root)


def make_with_uv(root: Path, uv: str) -> None:
    environment = inherited() | {
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_PROJECT_ENVIRONMENT": str(root / ".venv"),
    }
    run(
        [uv, "venv", "--clear", "--python", base_python(), "--prompt", "ledgerbeat", ".venv"],
        root,
        environment,
    )
    with unfinished(root):
        python = str(interpreter(root))
        run([uv, "sync", "--frozen", "--all-groups", "--all-extras", "--python", python], root, environment)


def make_with_pip(root: Path) -> None:
    environment = inherited()
    run([base_python(), "-m", "venv", "--clear", "--prompt", "ledgerbeat", ".venv"], root, environment)
    with unfinished(root):
        pip = [
            str(interpreter(root)),
            "-I",
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--no-deps",
        ]
        run([*pip, "--no-deps", "--no-compile", "--require-hashes", "-r", REQUIREMENTS], root, environment)
        run([*pip, "--no-deps", "--no-build-isolation", "--no-index", "--editable", "."], root, environment)


@contextlib.contextmanager
def unfinished(root: Path) -> Iterator[None]:
    """While the body runs, and for good when it fails, the environment says that it is not whole."""
    mark = root / ".venv" / UNFINISHED
    mark.touch()
    yield
    mark.unlink()


def base_python() -> str:
    """The interpreter below any virtual environment we run in: that one may be about to be cleared."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def inherited() -> dict[str, str]:
    confusing = {
        "VIRTUAL_ENV",
        "PYTHONHOME",
        "PYTHONPATH",
        "PIP_REQUIRE_HASHES",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_USER",
    }
    return {name: value for name, value in os.environ.items() if name not in confusing}


def run(command: Sequence[str], root: Path, environment: dict[str, str]) -> None:
    """Run one step in silence; when it fails, keep what it said in a file and raise one sentence."""
    try:
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, close_fds=False, check=False,
        )  # fmt: skip
    except OSError as error:
        raise SetupError(
            f"{command[0]} could not be started ({error.strerror}); is this Python complete?"
        ) from error
    if done.returncode != 0:
        raise SetupError(advice(done.stdout + done.stderr))


def advice(output: str) -> str:
    """One sentence for what a failed installer printed."""
    with tempfile.NamedTemporaryFile("w", prefix="ledgerbeat-setup-", suffix=".log", delete=False) as log:
        log.write(output)
    known = next((text for needle, text in ADVICE if needle in output), None)
    last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "it said nothing")
    return f"{known or last} (all it said is in {log.name})"
