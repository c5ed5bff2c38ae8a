"""Bulk repair of jobs: choose, rehearse or do, tenant by tenant in bounded transactions, and say what came of it."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import get_args
from uuid import UUID

from models.errors import NotFound
from models.jobs.repair import Order, Picked, Selection, count_fitting, pick, states_of
from tasks.intake.port import Routing
from tasks.intake.rehearsal import Prediction, rehearse
from worker.database import Transaction

BATCH_ROWS = 500
"""Jobs of one transaction, and of one audit event."""

PREDICTIONS: Sequence[Prediction] = get_args(Prediction)


@dataclass(frozen=True, slots=True)
class Choice:
    """The jobs that a run is about, oldest first; `fitting` counts those beyond its limit too.

    `unfit` are jobs that were asked for by id and that the run leaves alone: id -> state.
    """

    wanted: Selection
    jobs: Sequence[Picked]
    fitting: int
    unfit: Mapping[UUID, str]


@dataclass(frozen=True, slots=True)
class Cause:
    """Why jobs stand where they are, and how many would end how (of a rehearsal only)."""

    tenant: str
    name: str
    state: str
    cause: str
    jobs: int
    outcomes: Mapping[str, int] = field(default_factory=dict)


def choose(transaction: Transaction, wanted: Selection, *, rows: int) -> Choice:
    """The oldest `rows` jobs that fit. Raises NotFound for an id that is no job's."""
    with transaction() as session:
        jobs = pick(session, wanted, rows=rows)
        fitting = count_fitting(session, wanted)
        asked = states_of(session, wanted.ids)
    if unknown := [str(one) for one in wanted.ids if one not in asked]:
        raise NotFound(f"no job {', '.join(unknown)}")
    unfit = {one: state for one, state in asked.items() if state not in wanted.states}
    return Choice(wanted, jobs, fitting, unfit)


def forecast(
    transaction: Transaction, choice: Choice, *, routing: Routing, now: datetime
) -> dict[UUID, Prediction]:
    """What a redrive would make of each job; see `rehearse`. Nothing remains."""
    found: dict[UUID, Prediction] = {}
    for tenant, jobs in _by_tenant(choice.jobs):
        with transaction() as session:
            ids = [job.id for job in jobs]
            found |= rehearse(session, tenant, ids, choice.wanted.states, routing=routing, now=now)
    return found


Act = Callable[..., list[UUID]]
"""models.jobs.repair's `redrive` or `cancel`."""


def carry_out(
    transaction: Transaction, act: Act, choice: Choice, order: Order, *, now: datetime
) -> set[UUID]:
    """Do it, at most BATCH_ROWS jobs of one tenant at a time, each batch audited with itself. What was changed."""
    changed: set[UUID] = set()
    for tenant, jobs in _by_tenant(choice.jobs):
        for start in range(0, len(jobs), BATCH_ROWS):
            batch = jobs[start : start + BATCH_ROWS]
            with transaction() as session:
                done = act(session, tenant, batch, choice.wanted.states, order, now=now)
            changed.update(done)
    return changed


def causes(jobs: Sequence[Picked], predictions: Mapping[UUID, Prediction] | None = None) -> list[Cause]:
    """The jobs by tenant, name, state and cause, the most frequent first."""
    groups: dict[tuple[str, str, str, str], list[Picked]] = {}
    for job in jobs:
        groups.setdefault((job.tenant, job.name, job.state, job.cause), []).append(job)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return [Cause(*key, len(members), _ends(members, predictions)) for key, members in ordered]


def _ends(jobs: Sequence[Picked], predictions: Mapping[UUID, Prediction] | None) -> dict[str, int]:
    if predictions is None:
        return {}
    ends = Counter[str](predictions.get(job.id, "not_reached") for job in jobs)
    return {end: ends[end] for end in PREDICTIONS}


def _by_tenant(jobs: Sequence[Picked]) -> Iterator[tuple[str, list[Picked]]]:
    """Tenants in order of name, each with its jobs in order of acceptance."""
    ordered = sorted(jobs, key=lambda job: (job.tenant, job.seq))
    for tenant, members in groupby(ordered, key=lambda job: job.tenant):
        yield tenant, list(members)
