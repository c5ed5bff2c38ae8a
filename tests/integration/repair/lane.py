"""A lane full of trouble: jobs that stand dead or parked, each for a reason that is mended later or is not."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from models.jobs.outcomes import Outcome
from models.jobs.repair import Order
from models.tenants import Tenant
from tasks.intake.port import Routing, Work
from tasks.intake.routing import ROUTING
from tasks.intake.service import ATTEMPTS_MAX, drain
from tests.factories import credit_args
from tests.integration.families.desk import Desk
from tests.unit.families.events import CAPTURED, event

ORDER = Order("ops", "mended", uuid4(), {"state": ["dead"]})


def breaking(name: str, *owners: str) -> Routing:
    """The routes, but the handler of `name` has a bug that these owners' jobs meet."""
    real = ROUTING[name].handler

    def handler(
        session: Session, work: Sequence[Work[Any]], *, tenant: Tenant, now: datetime
    ) -> list[Outcome]:
        if any(one.args.owner in owners for one in work):
            raise ZeroDivisionError
        return real(session, work, tenant=tenant, now=now)

    return {**ROUTING, name: replace(ROUTING[name], handler=handler)}


def die(desk: Desk, routing: Routing) -> None:
    """Drain until every failing job is dead."""
    for _ in range(ATTEMPTS_MAX):
        desk.rows("UPDATE jobs SET state = 'queued' WHERE state = 'cooling' RETURNING id")
        play(desk, routing)


def bury(desk: Desk) -> None:
    """Every job of the tenant is dead, whatever it was."""
    desk.rows("""UPDATE jobs SET state = 'dead', result = '{"code": "failed"}', last_error = 'failed: by hand',
                 attempts = 5, finished_at = accepted_at WHERE tenant = :tenant RETURNING id""")


def play(desk: Desk, routing: Routing = ROUTING) -> None:
    drain(
        desk.transaction,
        desk.tenant,
        routing=routing,
        clock=lambda: desk.now,
        sleep=lambda _: None,
        seconds_max=600,
    )


def trouble(desk: Desk) -> dict[str, UUID]:
    """What is wrong -> the job. Malformed, broken by a bug, replayed in the meantime, parked in two ways."""
    [malformed] = desk.hand_in("wallets.credit", {"owner": "ada"})
    [unknown] = desk.hand_in("wallets.nothing", {})
    [refund] = desk.tell(event("refunded", 30, "re-1"))
    [capture] = desk.tell(CAPTURED)
    [lost] = desk.tell(replace(CAPTURED, reference="nobody's", object_id="pay-9", part_id="cap-9"))
    play(desk)
    bugged = desk.hand_in("wallets.credit", credit_args("bob", 50), credit_args("eve", 50))
    [debit] = desk.hand_in("wallets.debit", credit_args("bob", 20))
    [poor] = desk.hand_in("wallets.debit", credit_args("dan", 20))
    broken = {
        **breaking("wallets.credit", "bob", "eve"),
        "wallets.debit": breaking("wallets.debit", "bob", "dan")["wallets.debit"],
    }
    die(desk, broken)
    return {
        "malformed": malformed,
        "unknown": unknown,
        "refund": refund,
        "capture": capture,
        "lost": lost,
        "credit": bugged[0],
        "still broken": bugged[1],
        "debit": debit,
        "poor": poor,
    }


def states(desk: Desk) -> dict[UUID, str]:
    return {row["id"]: row["state"] for row in desk.rows("SELECT id, state FROM jobs ORDER BY seq")}
