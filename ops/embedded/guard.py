"""Runs one program and never outlives the process that asked for it. Started as a file, standard library only.

Between a parent and each program stands one of these. It holds the reading end of a pipe whose only writing end
is the parent's: when that closes, because the parent asked for a stop or because it was killed with -9, the
program gets the signals of its ladder, each with its seconds, and SIGKILL for its whole group at the end. The
guard leaves when the program has, with its exit code (128 + n for signal n).

argv[1] is one JSON object:
    argv, cwd, log (a file, appended to), ladder ([[signal number, seconds], ...]),
    identity: {} as we are | {"uid", "gid"} as that user | {"namespace": [uid, gid]} in a user namespace of its own
The first line on stdout is {"pid": n} or {"error": text}.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1


def main(spec: dict[str, Any]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, ignore)
    try:
        child = spawn(spec)
    except (OSError, subprocess.SubprocessError) as error:
        answer({"error": str(error)})
        return 127
    answer({"pid": child.pid})
    follow(child, spec["ladder"])
    kill_group(child.pid)
    code = child.wait()
    return code if code >= 0 else 128 - code


def ignore(_number: int, _frame: object) -> None:
    """A handler, and not SIG_IGN: that would be inherited by the program."""


def spawn(spec: dict[str, Any]) -> "subprocess.Popen[bytes]":
    identity = spec["identity"]
    as_user: dict[str, Any] = {}
    if "uid" in identity:
        as_user = {"user": identity["uid"], "group": identity["gid"], "extra_groups": []}
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        if "namespace" in identity:
            enter_namespace(libc, *identity["namespace"])
        if sys.platform == "linux":
            # The second belt: should the guard itself be killed, the program is asked to stop.
            libc.prctl(PR_SET_PDEATHSIG, spec["ladder"][0][0])

    with open(spec["log"], "ab") as log:  # noqa: PTH123
        return subprocess.Popen(
            spec["argv"], cwd=spec["cwd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            process_group=0, preexec_fn=prepare, **as_user,  # noqa: PLW1509 - there is one thread
        )  # fmt: skip


def enter_namespace(libc: ctypes.CDLL, uid: int, gid: int) -> None:
    """Become `uid` in a user namespace in which files of ours are files of `uid`: what `unshare --map-user` does."""
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "user namespaces are not allowed here")
    for name, text in (
        ("uid_map", f"{uid} {outer_uid} 1"),
        ("setgroups", "deny"),
        ("gid_map", f"{gid} {outer_gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123
            file.write(text)


def answer(message: dict[str, Any]) -> None:
    """The one line the parent waits for; then stdout is closed, so that nothing can ever block on it."""
    print(json.dumps(message), flush=True)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def follow(child: "subprocess.Popen[bytes]", ladder: list[tuple[int, float]]) -> None:
    """Wait for the program to end; from the moment the parent is gone, hurry it along the ladder."""
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    steps = iter([*ladder, (signal.SIGKILL, 3600.0)])
    watched = [0, ended]
    deadline: float | None = None
    while not has_ended(child.pid):
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select(watched, [], [], left)
        if ended in ready:
            os.read(ended, 4096)
        if 0 in ready and not os.read(0, 4096):
            watched, deadline = [ended], time.monotonic()
        if deadline is not None and time.monotonic() >= deadline:
            number, seconds = next(steps)
            deadline = time.monotonic() + seconds
            if number == signal.SIGKILL:
                kill_group(child.pid)
            os.kill(child.pid, number)


def has_ended(pid: int) -> bool:
    """Ended or not, it is not reaped yet: its number, and its group's, still mean it alone."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # nobody is left in it but the ended program
        return


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
