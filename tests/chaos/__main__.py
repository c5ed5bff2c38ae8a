"""`python3 -m ops chaos`: break everything under load, and see whether every promise was kept.

Exit code 0 when it was, 1 when not: then the home with its logs stays, and the seed is told again.
"""

import argparse
import secrets
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tests.chaos.battle import PROCESSES, Plan, Result, fight
from tests.chaos.report import announce, as_json, show
from tests.e2e.running import started

JOBS = {False: 20_000, True: 2_000}


def main(arguments: Sequence[str] | None = None) -> int:
    asked = parser().parse_args(arguments)
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    plan = Plan(seed, asked.jobs or JOBS[asked.short], asked.short)
    home = Path(tempfile.mkdtemp(prefix="ledgerbeat-chaos-"))
    home.chmod(0o711)
    good = False
    try:
        result = run(plan, home, Console(width=110, highlight=False))
        written = asked.json or Path(tempfile.gettempdir()) / f"ledgerbeat-chaos-{seed}.json"
        written.write_text(as_json(result))
        print(f"as JSON: {written}")
        good = not result.wrong
    finally:
        if good:
            shutil.rmtree(home, ignore_errors=True)
        else:
            print(f"kept for you: {home} (logs in {home / 'logs'}); seed {seed}")
    return 0 if good else 1


def run(plan: Plan, home: Path, console: Console) -> Result:
    """Start a stack in `home`, fight, show. Leaves the home as it is."""
    for line in announce(plan, plan.schedule):
        console.print(line, markup=False)
    with started(home, {}, **PROCESSES) as running:
        result = fight(running, plan, lambda line: console.print(line, markup=False))
    show(result, console)
    return result


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python3 -m ops chaos", description=__doc__)
    made.add_argument("--seed", type=int, help="repeats a run; without it one is drawn and told")
    made.add_argument("--jobs", type=int, help="how many jobs (20000, short 2000)")
    made.add_argument("--short", action="store_true", help="five faults, about a minute")
    made.add_argument("--json", type=Path, help="where the result is written as JSON")
    return made


if __name__ == "__main__":
    sys.exit(main())
