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
from tests.chaos.payday import make_strikes
from tests.chaos.paying import Payday
from tests.chaos.paying import fight as fight_payouts
from tests.chaos.report import announce, as_json, payday_as_json, show, show_payday
from tests.e2e.paying import paying
from tests.e2e.running import started

JOBS = {False: 20_000, True: 2_000}
PAYOUTS = {False: 2_000, True: 300}
BATTLES = ("jobs", "payouts")


def main(arguments: Sequence[str] | None = None) -> int:
    asked = parser().parse_args(arguments)
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    battles = BATTLES if asked.battle == "both" else (asked.battle,)
    held = [_keep_if_bad(battle, seed, asked) for battle in battles]
    return 0 if all(held) else 1


def _keep_if_bad(battle: str, seed: int, asked: argparse.Namespace) -> bool:
    """Fight one of them in a home of its own, and tell. Did every promise hold?"""
    home = Path(tempfile.mkdtemp(prefix="ledgerbeat-chaos-"))
    home.chmod(0o711)
    console, good = Console(width=110, highlight=False), False
    try:
        if battle == "payouts":
            payday = run_payday(
                Payday(seed, asked.payouts or PAYOUTS[asked.short], asked.short), home, console
            )
            good, told = not payday.wrong, payday_as_json(payday)
        else:
            result = run(Plan(seed, asked.jobs or JOBS[asked.short], asked.short), home, console)
            good, told = not result.wrong, as_json(result)
        written = asked.json or Path(tempfile.gettempdir()) / f"ledgerbeat-chaos-{seed}.json"
        written = written if battle == "jobs" else written.with_suffix(".payouts.json")
        written.write_text(told)
        print(f"as JSON: {written}")
    finally:
        if good:
            shutil.rmtree(home, ignore_errors=True)
        else:
            print(f"kept for you: {home} (logs in {home / 'logs'}); seed {seed}")
    return good


def run(plan: Plan, home: Path, console: Console) -> Result:
    """Start a stack in `home`, fight, show. Leaves the home as it is."""
    for line in announce(plan, plan.schedule):
        console.print(line, markup=False)
    with started(home, {}, **PROCESSES) as running:
        result = fight(running, plan, lambda line: console.print(line, markup=False))
    show(result, console)
    return result


def run_payday(result: Payday, home: Path, console: Console) -> Payday:
    """The second battle, the same way."""
    length = " --short" if result.short else ""
    console.print(
        f"seed {result.seed}; again: python3 -m ops chaos --battle payouts --seed {result.seed} "
        f"--payouts {result.payouts}{length}"
    )
    for strike in make_strikes(result.seed, short=result.short):
        console.print(f"  {strike}", markup=False)
    with paying(home) as running:
        fight_payouts(running, result, lambda line: console.print(line, markup=False))
    show_payday(result, console)
    return result


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python3 -m ops chaos", description=__doc__)
    made.add_argument("--seed", type=int, help="repeats a run; without it one is drawn and told")
    made.add_argument("--jobs", type=int, help="how many jobs (20000, short 2000)")
    made.add_argument("--payouts", type=int, help="how many payouts (2000, short 300)")
    made.add_argument("--battle", choices=(*BATTLES, "both"), default="both", help="only one of the two")
    made.add_argument("--short", action="store_true", help="a few faults, a minute or two for each battle")
    made.add_argument("--json", type=Path, help="where the result is written as JSON")
    return made


if __name__ == "__main__":
    sys.exit(main())
