"""Cutting a batch into runs of one name, as few as its order allows. Pure.

Applied one by one, jobs of alternating names would cost a handful of statements each. Two jobs that touch nothing in
common have the same effect in either order; so a job joins the latest run of its name, unless a run after that
touches what the job touches. Jobs of one name, and jobs that share an owner or a deposit, keep their order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.intake.port import Touched, Work


@dataclass(slots=True)
class Run:
    """Jobs of one name, in order, and all that they touch."""

    name: str
    works: list[Work[Any]] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    touches_everything: bool = False

    def add(self, work: Work[Any], touched: Touched) -> None:
        self.works.append(work)
        if touched is None:
            self.touches_everything = True
        else:
            self.touched |= touched

    def must_precede(self, touched: Touched) -> bool:
        """Would a job that touches this see, or change, what the run does?"""
        return touched is None or self.touches_everything or not self.touched.isdisjoint(touched)


def cut(works: Iterable[tuple[Work[Any], Touched]]) -> Sequence[Run]:
    """The runs, in the order in which they are to be applied."""
    runs: list[Run] = []
    for work, touched in works:
        _home_of(work.job.name, touched, runs).add(work, touched)
    return runs


def _home_of(name: str, touched: Touched, runs: list[Run]) -> Run:
    for run in reversed(runs):
        if run.name == name:
            return run
        if run.must_precede(touched):
            break
    runs.append(Run(name))
    return runs[-1]
