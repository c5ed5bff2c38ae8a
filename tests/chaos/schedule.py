"""What breaks, when, and for how long: drawn from the seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

PAIRED = 0.25


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that breaks; `victim` is a process, where it could be several."""

    name: str
    seconds: float = 0.0
    victim: str = ""

    @property
    def struck(self) -> str:
        return self.name.split()[0]

    def __str__(self) -> str:
        lasting = f" {self.seconds:g} s" if self.seconds else ""
        return f"{self.name}{f' ({self.victim})' if self.victim else ''}{lasting}"


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault, or two at once, after a pause under undisturbed load."""

    pause_seconds: float
    faults: tuple[Fault, ...]

    @property
    def seconds(self) -> float:
        return self.pause_seconds + max(fault.seconds for fault in self.faults)

    def __str__(self) -> str:
        return " + ".join(map(str, self.faults))


def long_faults(chance: Random) -> list[Fault]:
    """Each kind at least once."""
    worker, frozen = chance.sample(["worker", "worker-2"], 2)
    return [
        Fault("redis flushed"),
        Fault("redis stopped", 20),
        Fault("redis restarted"),
        Fault("redis frozen", 8),
        Fault("worker killed", victim=worker),
        Fault("worker frozen", 15, frozen),
        Fault("both workers killed"),
        Fault("shim killed"),
        Fault("shim frozen", 6),
        Fault("beat killed"),
        Fault("beat frozen", 10),
        Fault("postgresql restarted"),
        Fault("connections killed"),
        Fault("messages doubled"),
    ]


def short_faults(chance: Random) -> list[Fault]:
    """One of each group, so that other seeds meet other faults."""
    worker = chance.choice(["worker", "worker-2"])
    groups = [
        [Fault("redis stopped", 3), Fault("redis restarted"), Fault("redis flushed")],
        [Fault("worker killed", victim=worker), Fault("worker frozen", 3, worker), Fault("both workers killed")],
        [Fault("shim killed"), Fault("shim frozen", 3), Fault("beat killed")],
        [Fault("postgresql restarted")],
        [Fault("connections killed"), Fault("messages doubled")],
    ]  # fmt: skip
    return [chance.choice(group) for group in groups]


def make_schedule(seed: int, *, short: bool) -> list[Strike]:
    """Short: five strikes of one fault each. Long: every kind, and as many drawn once more, some of them in pairs."""
    chance = Random(f"faults {seed}")  # noqa: S311 - repeats, guards nothing
    if short:
        faults = short_faults(chance)
        chance.shuffle(faults)
        return [Strike(round(chance.uniform(0.5, 1.5), 1), (fault,)) for fault in faults]
    faults = long_faults(chance)
    faults += [fault for fault in long_faults(chance) if chance.random() < 0.5]
    chance.shuffle(faults)
    return _strikes(chance, faults)


def _strikes(chance: Random, faults: Sequence[Fault]) -> list[Strike]:
    left, strikes = list(faults), []
    while left:
        pair = len(left) > 1 and left[-1].struck != left[-2].struck and chance.random() < PAIRED
        struck = tuple(left.pop() for _ in range(2 if pair else 1))
        strikes.append(Strike(round(chance.uniform(2, 5), 1), struck))
    return strikes
