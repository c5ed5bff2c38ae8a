"""The supervisor, on small processes: order, restarts, bounds, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.bootstrap import ROOT
from ops.embedded.process import wait_until
from ops.supervisor import Process, Supervisor, SupervisorError

SERVE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("serving", flush=True)
open(sys.argv[1], "a").write("up\\n")
time.sleep(600)
"""
STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "a").write("up\\n")
time.sleep(600)
"""
FAIL = "import sys; print('no such thing as luck'); sys.exit(3)"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervise(tmp_path: Path, said: list[str]) -> Iterator[Callable[..., Supervisor]]:
    made: list[Supervisor] = []

    def supervise(*processes: Process, echo: bool = False) -> Supervisor:
        made.append(Supervisor(processes, tmp_path / "logs", say=said.append, echo=echo))
        return made[-1]

    yield supervise
    for supervisor in made:
        supervisor.stop()


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., Process]:
    def process(name: str, code: str = SERVE, *, grace: float = 60.0, start: float = 60.0) -> Process:
        mark = tmp_path / f"{name}.up"
        return Process(
            name,
            [sys.executable, "-S", "-c", code, str(mark)],
            {"PATH": os.defpath},
            tmp_path,
            ready=mark.exists,
            grace_seconds=grace,
            start_seconds=start,
        )

    return process


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pid_of(supervisor: Supervisor, name: str) -> int:
    pid = supervisor.pid(name)
    assert pid is not None
    return pid


def test_all_start_in_order_and_stop_in_reverse(
    supervise: Callable[..., Supervisor], process: Callable[..., Process], said: list[str]
) -> None:
    supervisor = supervise(process("first"), process("second"), process("third"))
    supervisor.start()
    pids = [pid_of(supervisor, name) for name in ("first", "second", "third")]
    assert all(alive(pid) for pid in pids)
    supervisor.stop()
    assert [line.split(":")[0] for line in said] == ["first", "second", "third", "third", "second", "first"]
    assert said[3:] == ["third: stopped", "second: stopped", "first: stopped"]
    assert not any(alive(pid) for pid in pids)


def test_what_dies_is_started_again(
    supervise: Callable[..., Supervisor], process: Callable[..., Process], said: list[str]
) -> None:
    supervisor = supervise(process("web"), process("other"))
    supervisor.start()
    before, other = pid_of(supervisor, "web"), pid_of(supervisor, "other")
    supervisor.kill("web")
    assert wait_until(lambda: supervisor.pid("web") not in {None, before}, 60)
    assert any(line.startswith("web: ended by SIGKILL, starting again in 0.5 s") for line in said)
    assert (supervisor.restarts("web"), supervisor.restarts("other"), supervisor.pid("other")) == (
        1,
        0,
        other,
    )


def test_one_that_keeps_dying_is_tried_less_and_less_often_and_never_given_up(
    supervise: Callable[..., Supervisor], process: Callable[..., Process], said: list[str], tmp_path: Path
) -> None:
    (tmp_path / "sick.up").touch()
    supervisor = supervise(process("sick", FAIL))
    supervisor.start()
    assert wait_until(lambda: supervisor.restarts("sick") >= 2, 60)
    waits = [line.split(" in ")[1].split(" s")[0] for line in said if "starting again" in line]
    assert waits[:2] == ["0.5", "1"]
    assert "sick: ended with code 3, starting again" in "\n".join(said)


def test_one_that_dies_at_the_start_is_shown_and_nothing_is_left(
    supervise: Callable[..., Supervisor], process: Callable[..., Process], tmp_path: Path
) -> None:
    supervisor = supervise(process("good"), process("bad", FAIL))
    with pytest.raises(
        SupervisorError, match=r"bad ended with code 3 while it started(.|\n)*no such thing as luck"
    ):
        supervisor.start()
    assert supervisor.pids() == {"good": None, "bad": None}


def test_one_that_is_never_ready_is_named(
    supervise: Callable[..., Supervisor], process: Callable[..., Process]
) -> None:
    supervisor = supervise(process("slow", "import time; time.sleep(60)", start=0.3))
    with pytest.raises(SupervisorError, match=r"slow was not ready within 0\.3 s"):
        supervisor.start()


def test_one_that_does_not_stop_is_killed_after_its_grace(
    supervise: Callable[..., Supervisor], process: Callable[..., Process], said: list[str]
) -> None:
    supervisor = supervise(process("stubborn", STUBBORN, grace=0.3))
    supervisor.start()
    supervisor.stop()
    assert said[-1] == "stubborn: ended by SIGKILL"


def test_one_process_may_be_stopped_and_started_by_itself(
    supervise: Callable[..., Supervisor], process: Callable[..., Process]
) -> None:
    supervisor = supervise(process("web"))
    supervisor.start()
    supervisor.stop_one("web")
    assert not wait_until(lambda: supervisor.pid("web") is not None, 1)
    supervisor.start_one("web")
    assert supervisor.pid("web") is not None


def test_what_they_print_is_kept_and_echoed_by_name(
    supervise: Callable[..., Supervisor],
    process: Callable[..., Process],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    supervisor = supervise(process("web"), echo=True)
    supervisor.start()
    supervisor.stop()
    assert (tmp_path / "logs" / "web.log").read_text() == "serving\n"
    assert "web | serving" in capsys.readouterr().err


def test_a_killed_supervisor_leaves_no_process(tmp_path: Path) -> None:
    code = f"""
import json, sys, time
from pathlib import Path
from ops.supervisor import Process, Supervisor
argv = [sys.executable, "-S", "-c", {SERVE!r}]
mark = lambda name: Path({str(tmp_path)!r}) / name
made = [Process(n, [*argv, str(mark(n))], {{}}, Path("/"), ready=mark(n).exists) for n in ("one", "two")]
supervisor = Supervisor(made, Path({str(tmp_path)!r}) / "logs", say=lambda line: None)
supervisor.start()
print(json.dumps(supervisor.pids()), flush=True)
time.sleep(600)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        pids = json.loads(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    assert wait_until(lambda: not any(alive(pid) for pid in pids.values()), 60)
