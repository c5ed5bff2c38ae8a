"""A run's result for people, and as JSON."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.chaos.battle import Plan, Recovery, Result
from tests.chaos.paying import Payday
from tests.chaos.schedule import Strike


def announce(plan: Plan, schedule: Sequence[Strike]) -> list[str]:
    """What is going to happen, before it does."""
    length = " --short" if plan.short else ""
    lines = [f"seed {plan.seed}; again: python3 -m ops chaos --seed {plan.seed} --jobs {plan.jobs}{length}"]
    return lines + [f"  after {strike.pause_seconds} s: {strike}" for strike in schedule]


def table(recoveries: Sequence[Recovery]) -> Table:
    made = Table("at", "fault", "lasted", "recovered in", box=None)
    for one in recoveries:
        recovered = "never" if one.recovered_seconds is None else f"{one.recovered_seconds:.2f} s"
        made.add_row(f"{one.at_seconds:.0f} s", one.strike, f"{one.lasted_seconds:.1f} s", recovered)
    return made


def show(result: Result, console: Console) -> None:
    console.print(table(result.recoveries))
    states = ", ".join(f"{many} {state}" for state, many in sorted(result.states.items()))
    console.print(f"jobs: {states}")
    console.print(", ".join(f"{name} {value:g}" for name, value in result.figures.items()))
    if result.flood is not None:
        console.print(
            f"flood of {result.flood.jobs} jobs: another tenant's job saw {result.flood.median} batches of "
            f"{result.flood.batch_rows} pass (median), {result.flood.worst} at worst"
        )
    for wrong in result.wrong:
        console.print(f"WRONG {wrong}", markup=False)
    console.print("every promise held" if not result.wrong else f"{len(result.wrong)} violations")


def show_payday(result: Payday, console: Console) -> None:
    states = ", ".join(f"{many} {state}" for state, many in sorted(result.states.items()))
    console.print(f"payouts: {states}")
    console.print(", ".join(f"{name} {value:g}" for name, value in result.figures.items()))
    for wrong in result.wrong:
        console.print(f"WRONG {wrong}", markup=False)
    console.print("every promise held" if not result.wrong else f"{len(result.wrong)} violations")


def payday_as_json(result: Payday) -> str:
    found = asdict(replace(result, states=Counter())) | {"states": dict(result.states)}
    return json.dumps({**found, "machine": machine()}, indent=1)


def machine() -> dict[str, Any]:
    load: tuple[float, float, float] = os.getloadavg()
    return {"cpus": os.cpu_count(), "load_average": load}


def as_json(result: Result) -> str:
    states = dict(result.states)  # asdict() makes nonsense of a Counter
    found: dict[str, Any] = asdict(replace(result, states=Counter())) | {"states": states}
    return json.dumps(
        {**found, "schedule": [str(strike) for strike in result.plan.schedule],
         "machine": machine()}, indent=1
    )  # fmt: skip
