"""Who PostgreSQL runs as. It refuses root, so root lends it another identity; anyone else runs it as themselves.

A user without a name, as containers have, is called `nobody` in a user namespace. For root, in this order:
1. the user `nobody`, when it can reach the programs and the home;
2. root's own user in a user namespace that calls it `nobody`, which reaches whatever root reaches; containers
   often forbid it;
3. the user `nobody` again, with the programs and the data in a folder of ours that it can reach.
"""

import hashlib
import os
import pwd
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.embedded.binaries import PostgresBinaries
from ops.embedded.errors import EmbeddedError
from ops.embedded.process import Launch, run_to_end

REACHABLE_FOLDERS = ("/var/lib/ledgerbeat", "/var/tmp/ledgerbeat", "/tmp/ledgerbeat")  # noqa: S108 - checked below
PROBE_SECONDS_MAX = 15.0
ENTERS = 'test -x "$0"'


@dataclass(frozen=True)
class Identity:
    """`owner` is who the data must belong to, in the eyes of this process; `how` is what a guard understands."""

    owner: tuple[int, int]
    how: Mapping[str, Any]


@dataclass(frozen=True)
class Lodging:
    """Who runs PostgreSQL, from which programs, with its data below which folder."""

    identity: Identity
    binaries: Path
    data_parent: Path


def lodge(binaries: PostgresBinaries, home: Path, log: Path, lock: int) -> Lodging:
    """Choose for this process's user; raises EmbeddedError when there is no identity to run it with."""
    ourselves = Identity((os.geteuid(), os.getegid()), {})
    if os.geteuid() != 0 and has_a_name(os.geteuid()):
        return Lodging(ourselves, binaries.folder, home)
    nobody = the_user_nobody()
    namespace = Identity(ourselves.owner, {"namespace": nobody.owner})

    def works(identity: Identity, argv: Sequence[str]) -> bool:
        return runs(argv, identity, log, lock)

    initdb = [str(binaries.folder / "initdb"), "--version"]
    if os.geteuid() == 0 and works(nobody, initdb) and works(nobody, ["/bin/sh", "-c", ENTERS, str(home)]):
        return Lodging(nobody, binaries.folder, home)
    if works(namespace, initdb):
        return Lodging(namespace, binaries.folder, home)
    if os.geteuid() == 0:
        return outside(binaries, home, nobody, works)
    raise EmbeddedError(
        f"PostgreSQL refuses to run as a user without a name, and user {os.geteuid()} has none: add it to "
        "/etc/passwd, or set LEDGERBEAT_DATABASE_URL to a server of yours"
    )


def has_a_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def the_user_nobody() -> Identity:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedError(
            "PostgreSQL refuses to run as root, and there is no user `nobody` to run it: start this as an "
            "ordinary user, or set LEDGERBEAT_DATABASE_URL to a server of yours"
        ) from None
    return Identity((entry.pw_uid, entry.pw_gid), {"uid": entry.pw_uid, "gid": entry.pw_gid})


def runs(argv: Sequence[str], identity: Identity, log: Path, lock: int) -> bool:
    launch = Launch(argv, log, server_environment(), identity=identity.how, keeps_open=(lock,))
    try:
        return run_to_end(launch, PROBE_SECONDS_MAX) == 0
    except (EmbeddedError, TimeoutError):
        return False


def outside(binaries: PostgresBinaries, home: Path, nobody: Identity, works: Any) -> Lodging:
    """Programs and data in a folder that `nobody` can reach."""
    for name in REACHABLE_FOLDERS:
        folder = Path(name)
        if not is_ours(folder):
            continue
        programs = copied(binaries, folder)
        if works(nobody, [str(programs / "initdb"), "--version"]):
            data_parent = folder / f"home-{digest(str(home.resolve()))}"
            data_parent.mkdir(exist_ok=True)
            data_parent.chmod(0o711)
            return Lodging(nobody, programs, data_parent)
    raise EmbeddedError(
        f"PostgreSQL refuses to run as root, and the user `nobody` cannot reach {home} or run {binaries.folder}: "
        "set LEDGERBEAT_HOME to a folder that every user may enter, start this as an ordinary user, or set "
        "LEDGERBEAT_DATABASE_URL to a server of yours"
    )


def is_ours(folder: Path) -> bool:
    """Make the folder, or see that the one there is root's and that nobody else can write to it."""
    try:
        folder.mkdir()
        folder.chmod(0o755)
    except FileExistsError:
        pass
    except OSError:
        return False
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and not found.st_mode & 0o022


def copied(binaries: PostgresBinaries, folder: Path) -> Path:
    """Where a copy of the programs is that everybody may read; made once for each version of the original."""
    original = (binaries.folder / "postgres").stat()
    target = folder / f"postgres-{digest(f'{binaries.folder}|{original.st_mtime_ns}|{original.st_size}')}"
    if not target.exists():
        partial = folder / f"{target.name}.{os.getpid()}"
        for tree in binaries.trees:
            ignored = shutil.ignore_patterns("include", "*.a")
            shutil.copytree(binaries.base / tree, partial / tree, symlinks=True, ignore=ignored)
        for made in (partial, *partial.glob("*/")):
            made.chmod(0o755)
        try:
            partial.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(partial)
    return target / binaries.folder.relative_to(binaries.base)


def give(folder: Path, identity: Identity) -> None:
    """Let the data belong to who will run the server, whoever ran it last."""
    found = folder.stat()
    if (found.st_uid, found.st_gid) == identity.owner:
        return
    for below, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            os.chown(Path(below) / name, *identity.owner, follow_symlinks=False)


def server_environment() -> dict[str, str]:
    """What servers see: nothing of PG*, LC_* or LANG, which would change how they start."""
    kept = {
        name: value for name, value in os.environ.items() if name in {"PATH", "LD_LIBRARY_PATH", "TMPDIR"}
    }
    return {"PATH": os.defpath, **kept, "LC_ALL": "C", "TZ": "UTC"}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
