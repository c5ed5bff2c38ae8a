"""The verbs of `python3 -m ops`: make `.venv` whole, then hand over to what lives in it.

Standard library only. Every verb first runs `setup` (ops.environment), which costs a few milliseconds when
nothing changed, and then replaces this process by the environment's Python, so that signals and exit codes
are those of the program itself.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ops.environment import SetupError, ensure, interpreter

ROOT = Path(__file__).resolve().parent.parent
TOOLS = {"test", "bench", "chaos", "check", "sbom"}
TEST_WORKERS_MAX = 4
TOGETHER = ("--dist", "loadfile", "--no-loadscope-reorder")
USAGE = """usage: python3 -m ops <verb> [arguments]

  setup     make .venv from the lock (every other verb does it first)
  demo      the whole story on embedded PostgreSQL and Redis, verified; stops all it started
  up        everything on one machine in the foreground, until Ctrl-C
  test      all tests; further arguments go to pytest
  check     format, lint, types, import contracts, tests (--no-tests leaves the last out)
  bench     the benchmarks of tests/bench
  chaos     everything breaks under load, and every promise is checked (--seed, --jobs, --short)
  sbom      what it is made of, as CycloneDX JSON from uv.lock
  <other>   goes to .venv/bin/ledgerbeat: migrate, verify, jobs, wallets, sandbox, ...
"""


def main(arguments: Sequence[str]) -> int:
    """Run one verb and return its exit code; most verbs replace this process and so never return."""
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(USAGE, end="")
        return 0 if arguments else 2
    verb, rest = arguments[0], list(arguments[1:])
    try:
        made = ensure(ROOT)
    except SetupError as error:
        print(f"setup failed: {error}", file=sys.stderr)
        return 1
    if verb == "setup":
        print(f"{'made' if made else 'nothing to do for'} .venv; the command line is .venv/bin/ledgerbeat")
        return 0
    if verb in {"bench", "chaos"} and not any((ROOT / "tests" / verb).glob("**/*_*.py")):
        print(f"nothing to run: this checkout has no tests/{verb}")
        return 0
    return hand_over(command(verb, rest), cwd=ROOT if verb in TOOLS else None)


def command(verb: str, rest: list[str]) -> list[str]:
    """What the environment's Python is asked to run."""
    match verb:
        case "test":
            return ["-m", "pytest", *parallel(rest), *rest]
        case "bench":
            return ["-m", "pytest", "tests/bench", "-s", *rest]
        case "chaos":
            return ["-m", "tests.chaos", *rest]
        case "check":
            return ["-m", "ops.check", *rest]
        case "sbom":
            return ["-m", "ops.sbom", *rest]
        case _:
            return ["-m", "ops.cli", verb, *rest]


def parallel(arguments: Sequence[str], cpus: int | None = None) -> list[str]:
    """pytest-xdist's options, unless the caller chose a number, a debugger or no xdist at all.

    A file's tests stay together, so that what is costly to start is started once; and files are begun in their order,
    whole stacks before units. xdist's own order, by the number of tests, would leave the longest files to the end.
    """
    chosen = any(
        a.startswith(("-n", "--numprocesses", "--pdb", "--trace", "--dist")) or a.endswith("no:xdist")
        for a in arguments
    )
    workers = min(TEST_WORKERS_MAX, cpus or os.cpu_count() or 1)
    return [] if chosen or workers < 2 else ["-n", str(workers), *TOGETHER]


def hand_over(arguments: Sequence[str], cwd: Path | None = None) -> NoReturn:
    """Replace this process by the environment's Python; tools run in the checkout, the rest where we are."""
    python = interpreter(ROOT)
    environment = {
        name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONHOME"}
    }
    if cwd is not None:
        os.chdir(cwd)
    sys.stdout.flush()
    os.execve(python, [str(python), *arguments], environment)
