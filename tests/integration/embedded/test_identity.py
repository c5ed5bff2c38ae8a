"""Who the servers run as: an ordinary user as itself, root as somebody else."""

import os
import pwd
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ops.embedded import EmbeddedError, EmbeddedServices, guard, identity
from ops.embedded.identity import Identity
from tests.integration.embedded.conftest import Holder, libc, query


def namespaces_are_allowed() -> bool:
    try:
        subprocess.run(["true"], preexec_fn=lambda: guard.enter_namespace(libc(), 1, 1), check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


if namespaces_are_allowed():

    @pytest.mark.parametrize("uid", [pwd.getpwnam("nobody").pw_uid, 1234567], ids=["named", "nameless"])
    def test_an_ordinary_user_runs_them_as_itself(home: Path, hold: Callable[..., Holder], uid: int) -> None:
        holder = hold(home, lambda: guard.enter_namespace(libc(), uid, uid))
        assert holder.said["euid"] == uid
        assert query(holder.said["database_url"], "SELECT 1") == [(1,)]


if os.geteuid() == 0:  # the rest is about what only root does

    def owner_of(pid: int) -> str:
        return pwd.getpwuid(Path(f"/proc/{pid}").stat().st_uid).pw_name

    def test_root_lends_it_the_user_nobody_where_nobody_can_go(
        open_home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        programs_are_reachable(monkeypatch)
        with EmbeddedServices(open_home, durable=False) as servers:
            assert owner_of(servers.services.postgres_pid) == "nobody"
            assert open_home.stat().st_uid == 0

    def test_root_reaches_a_private_home(home: Path) -> None:
        for _ in range(2):
            with EmbeddedServices(home, durable=False) as servers:
                assert query(servers.services.database_url, "SELECT 1") == [(1,)]

    def test_without_namespaces_a_private_home_keeps_its_data_outside(
        home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory, open_home: Path
    ) -> None:
        open_home.mkdir(mode=0o755)
        monkeypatch.setattr(identity, "REACHABLE_FOLDERS", (str(open_home / "ledgerbeat"),))
        without_namespaces(monkeypatch)
        with EmbeddedServices(home, durable=False) as servers:
            assert owner_of(servers.services.postgres_pid) == "nobody"
            query(servers.services.database_url, "CREATE TABLE kept AS SELECT 7 AS n")
        monkeypatch.undo()  # the same data, where namespaces are allowed
        with EmbeddedServices(home, durable=False) as servers:
            assert query(servers.services.database_url, "SELECT n FROM kept") == [(7,)]

    def test_without_any_way_root_is_told_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(identity, "REACHABLE_FOLDERS", ())
        without_namespaces(monkeypatch)
        with pytest.raises(EmbeddedError, match="set LEDGERBEAT_HOME to a folder that every user may enter"):
            EmbeddedServices(home).start()

    def without_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
        runs = identity.runs

        def refusing(argv: Sequence[str], who: Identity, log: Path, lock: int) -> bool:
            return "namespace" not in who.how and runs(argv, who, log, lock)

        monkeypatch.setattr(identity, "runs", refusing)

    def programs_are_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the checkout is private to root, namespaces must not stand in for the user nobody."""
        without_namespaces(monkeypatch)
