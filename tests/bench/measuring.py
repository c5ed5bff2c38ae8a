"""Interleaved rounds: A B A B ..., each side timed with the CPU and the memory that it takes. Ratios, not absolutes."""

import os
import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Done:
    """How many units a round was, and how long they took; None: as long as the call."""

    units: int
    seconds: float | None = None


Run = Callable[[int], Done]
"""Does one round's work, given the number of the round."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one side. CPU and memory are those of this process, with the children that it has waited for,
    and of the processes that the side named, with theirs."""

    units: int
    seconds: float
    cpu_seconds: float
    megabytes: float

    @property
    def rate(self) -> float:
        return self.units / self.seconds

    @property
    def cpu_milliseconds(self) -> float:
        """Per unit."""
        return 1000 * self.cpu_seconds / self.units


@dataclass(frozen=True, slots=True)
class Side:
    """What is measured. `processes` gives the ids of all that work for it beside this one."""

    name: str
    run: Run
    processes: Callable[[], Collection[int]] = tuple


Samples = Mapping[str, Sequence[Sample]]


def interleaved(sides: Sequence[Side], *, rounds: int, warm_up: bool = True) -> Samples:
    """`rounds` samples of each side, by its name. The round before the first warms up and does not count.

    Odd rounds go backwards, so that no side always follows the same other.
    """
    found: dict[str, list[Sample]] = {side.name: [] for side in sides}
    for number in range(-1 if warm_up else 0, rounds):
        for side in reversed(sides) if number % 2 else sides:
            sample = measure(side, number + 1)
            if number >= 0:
                found[side.name].append(sample)
    return found


def measure(side: Side, number: int = 0) -> Sample:
    """One round of one side."""
    roots = side.processes()
    cpu, began = _own_cpu_seconds() + cpu_seconds(roots), time.perf_counter()
    done = side.run(number)
    seconds = done.seconds or time.perf_counter() - began
    cpu = _own_cpu_seconds() + cpu_seconds(roots) - cpu
    memory = resident_megabytes(roots) + _proportional_bytes(os.getpid()) / MEGABYTE
    return Sample(done.units, seconds, cpu, memory)


def ratios(above: Sequence[Sample], below: Sequence[Sample]) -> list[float]:
    """Rate by rate, round by round: what disturbs a whole round disturbs both."""
    return [a.rate / b.rate for a, b in zip(above, below, strict=True)]


def median_rate(samples: Sequence[Sample]) -> float:
    return statistics.median(sample.rate for sample in samples)


def median_cpu(samples: Sequence[Sample]) -> float:
    """CPU milliseconds per unit."""
    return statistics.median(sample.cpu_milliseconds for sample in samples)


def peak_megabytes(samples: Sequence[Sample]) -> float:
    return max(sample.megabytes for sample in samples)


def _own_cpu_seconds() -> float:
    return _ticks(os.getpid()) / TICKS_PER_SECOND


def cpu_seconds(roots: Collection[int]) -> float:
    """What these processes, their descendants and those of them that have ended took, user and system."""
    return sum(_ticks(pid) for pid in with_descendants(roots)) / TICKS_PER_SECOND


def resident_megabytes(roots: Collection[int]) -> float:
    """The memory that these processes and their descendants hold, each shared page shared out among its holders."""
    return sum(_proportional_bytes(pid) for pid in with_descendants(roots)) / MEGABYTE


def with_descendants(roots: Collection[int]) -> set[int]:
    parents = {pid: _parent(pid) for pid in _pids()}
    family = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the command's name, which may hold blanks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _ticks(pid: int) -> int:
    """utime, stime, and both of the children that were waited for."""
    return sum(int(field) for field in _stat(pid)[11:15])


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return _resident_bytes(pid)
    return 1024 * next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except OSError:
        return 0
