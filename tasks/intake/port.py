"""What the drain asks of a job family: take a run of jobs of one name, apply it as one set, say what became of each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy.orm import Session

from models.jobs.claim import Job
from models.jobs.outcomes import Outcome
from models.tenants import Tenant

A_co = TypeVar("A_co", covariant=True)
A_contra = TypeVar("A_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Work(Generic[A_co]):
    """A claimed job and its checked arguments."""

    job: Job
    args: A_co


class Handler(Protocol[A_contra]):
    """Applies a run in the drain's transaction and returns one outcome per job, in order.

    Set-based: a number of statements that does not grow with the run. It commits nothing, calls no network and
    raises only for bugs and database errors: what the business refuses is an outcome.
    """

    def __call__(
        self, session: Session, work: Sequence[Work[A_contra]], *, tenant: Tenant, now: datetime
    ) -> list[Outcome]: ...


Touched = frozenset[str] | None
"""What a job's effect depends on or changes (`owner:<id>`, `deposit:<provider>:<reference>`); None is everything."""


class Touching(Protocol[A_contra]):
    """Says what each job of a tenant touches, in order; may read, and lock what its handler would lock anyway."""

    def __call__(
        self, session: Session, tenant: str, work: Sequence[Work[A_contra]], /
    ) -> Sequence[Touched]: ...


@dataclass(frozen=True, slots=True)
class Route(Generic[A_co]):
    """Who takes the jobs of a name. `parse` raises InvalidArguments; `origins` None is any.

    Without `touching` a job touches everything: it keeps its place among all others.
    """

    parse: Callable[[Mapping[str, Any]], A_co]
    handler: Handler[Any]
    origins: frozenset[str] | None = None
    touching: Touching[Any] | None = None


Routing = Mapping[str, Route[Any]]
"""Job name -> route."""
