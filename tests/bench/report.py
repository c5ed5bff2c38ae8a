"""What the benchmarks found: one line per ratio, printed as a table and written to RESULTS.md, the worst first."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.bench.measuring import Sample, median_cpu, median_rate, peak_megabytes, ratios

RESULTS = Path(__file__).with_name("RESULTS.md")
PACKAGES = (
    "celery",
    "kombu",
    "redis",
    "sqlalchemy",
    "psycopg",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "pydantic",
)
HEAD = "| what | asked | measured | range of rounds | per second | CPU ms each | MB |"


@dataclass(frozen=True, slots=True)
class Line:
    """One figure. `asked` None: shown without a judgement; `at_most` turns the judgement round."""

    what: str
    measured: float
    asked: float | None = None
    at_most: bool = False
    spread: tuple[float, float] | None = None
    rates: str = ""
    cpu: str = ""
    memory: str = ""
    unit: str = "x"

    @property
    def is_met(self) -> bool:
        if self.asked is None:
            return True
        return self.measured <= self.asked if self.at_most else self.measured >= self.asked

    @property
    def cells(self) -> tuple[str, ...]:
        sign = "<=" if self.at_most else ">="
        asked = "" if self.asked is None else f"{sign} {self.asked:g}{self.unit}"
        spread = "" if self.spread is None else f"{self.spread[0]:.2f} - {self.spread[1]:.2f}"
        measured = f"{self.measured:.2f}{self.unit}" + ("" if self.is_met else " WORSE")
        return self.what, asked, measured, spread, self.rates, self.cpu, self.memory


@dataclass
class Report:
    """The lines of one run. `remarks` says what could not be had and how to read the rest."""

    full: bool = False
    lines: list[Line] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    servers: list[str] = field(default_factory=list)

    def ratio(
        self,
        what: str,
        above: Sequence[Sample],
        below: Sequence[Sample],
        *,
        asked: float | None = None,
        at_most: bool = False,
        inverted: bool = False,
    ) -> None:
        """A line from rates, round by round; `inverted` for costs, which are to stay low."""
        found = ratios(below, above) if inverted else ratios(above, below)
        self.lines.append(
            Line(
                what,
                statistics.median(found),
                asked,
                at_most,
                (min(found), max(found)),
                f"{median_rate(above):,.0f} / {median_rate(below):,.0f}",
                f"{median_cpu(above):.2f} / {median_cpu(below):.2f}",
                f"{peak_megabytes(above):.0f} / {peak_megabytes(below):.0f}",
            )
        )

    def figure(
        self, what: str, measured: float, unit: str, *, at_most: float | None = None, **others: str
    ) -> None:
        """A line that is no ratio: milliseconds, megabytes, per cent."""
        self.lines.append(Line(what, measured, at_most, at_most is not None, unit=f" {unit}", **others))  # type: ignore[arg-type]

    def remark(self, text: str) -> None:
        self.remarks.append(text)

    def table(self) -> str:
        """The lines, those that are worse than asked first."""
        ordered = sorted(self.lines, key=lambda line: line.is_met)
        rows = [f"| {' | '.join(line.cells)} |" for line in ordered]
        return "\n".join([HEAD, "|" + " --- |" * HEAD.count(" | ") + " --- |", *rows])

    def text(self) -> str:
        return "\n".join(
            [
                "# What it costs",
                "",
                (
                    f"Written by `python3 -m ops bench{' --full' if self.full else ''}` on "
                    f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. Each ratio comes from one run, as the"
                ),
                "median of interleaved rounds (A B B A ...). A figure before a slash is ours, the one after it the",
                "other's. CPU is that of all processes at work, PostgreSQL and the client included; so is the memory.",
                "",
                "## Worse than asked",
                "",
                *(self._worse() or ["Nothing."]),
                "",
                "## All figures",
                "",
                self.table(),
                "",
                "## To be known",
                "",
                *(f"* {remark}" for remark in self.remarks),
                "",
                "## Machine",
                "",
                *(f"* {fact}" for fact in [*machine(), *self.servers]),
                "",
            ]
        )

    def _worse(self) -> list[str]:
        return [
            f"* {line.what}: {line.measured:.2f}{line.unit} where {line.cells[1]} was asked."
            for line in self.lines
            if not line.is_met
        ]


def machine() -> list[str]:
    """The processor, the memory, how busy it was, and the versions."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return [
        f"{_of('/proc/cpuinfo', 'model name')}, {_cores()}, {_of('/proc/meminfo', 'MemTotal')}",
        f"load average at the end: {Path('/proc/loadavg').read_text().split(' ')[0]}",
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        packages,
    ]


def _cores() -> str:
    """How many this process, and so what it starts, may run on."""
    usable, present = len(os.sched_getaffinity(0)), os.cpu_count()
    return f"{usable} cores" + ("" if usable == present else f" of {present} (taskset)")


def _of(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "unknown"
