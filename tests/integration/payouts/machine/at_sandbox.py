"""The real sandbox server as the machine's world: its faults by script, its clock, its events, its truth."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from tests.integration.payouts.machine.psp import Thing
from tests.integration.sandbox.running import Sandbox
from worker.providers.payouts.port import Answer, Instruction, ObjectStatus, PayoutProvider, Sighting
from worker.providers.port import ProviderEvent
from worker.providers.sandbox import parse

LOOKUPS = "lookups "
BEHAVIOURS = (
    "decline_retryable", "decline_final", "timeout_before", "timeout_after", "error_500", "error_500_after",
    "garbage", "rate_limit:5", "rate_limit:900", "lookups error_500", "lookups garbage",
)  # fmt: skip
STATUSES: dict[str | None, ObjectStatus] = {
    "payout_submitted": "submitted",
    "payout_paid": "paid",
    "payout_failed": "failed",
    "payout_returned": "returned",
}


@dataclass
class AtSandbox:
    """`provider` is the product's own adapter; this stands between, and counts."""

    sandbox: Sandbox
    provider: PayoutProvider
    now: datetime
    keys: dict[UUID, dict[str, datetime]] = field(default_factory=dict)
    calls: int = 0
    _told: list[ProviderEvent] | None = None

    def plan(self, behaviours: Sequence[str]) -> None:
        self.sandbox.delete("/_faults")
        for one in behaviours:
            scope = "lookups" if one.startswith(LOOKUPS) else "payouts"
            self.sandbox.script(one.removeprefix(LOOKUPS), scope=scope, count=1)

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        assert self.sandbox.post("/_clock", json={"advance_seconds": seconds}).status_code == 200

    def settle(self, object_id: str, status: ObjectStatus) -> None:
        self._told = None
        assert self.sandbox.post(f"/payouts/{object_id}/settle", json={"status": status}).status_code == 200

    def events(self) -> list[ProviderEvent]:
        """All that it has ever had to tell, in order."""
        if self._told is None:
            self._told = [event for page in self._pages() for event in page]
        return self._told

    def objects(self) -> list[Thing]:
        found: dict[str, Thing] = {}
        for event in self.events():
            status = STATUSES[event.move]
            if status == "submitted":
                thing = Thing(
                    event.object_id or "",
                    event.reference or "",
                    event.amount_minor or 0,
                    event.currency or "",
                    self.now,
                )
                found[thing.object_id] = thing
            found[event.object_id or ""].status = status
        return list(found.values())

    def may_still_arrive(self, payout_id: UUID) -> bool:  # noqa: ARG002 - a port of the machine's
        """What it took, it took at once; what it lost is lost."""
        return False

    def send(self, instruction: Instruction) -> Answer:
        """See PayoutProvider."""
        self._told = None
        self.calls += 1
        payout_id = UUID(instruction.reference.rsplit("-", 1)[0])
        self.keys.setdefault(payout_id, {}).setdefault(instruction.key, self.now)
        return self.provider.send(instruction)

    def look_up(
        self, reference: str, *, since: datetime, destination: str, object_id: str | None = None
    ) -> Sighting:
        """See PayoutProvider."""
        return self.provider.look_up(reference, since=since, destination=destination, object_id=object_id)

    def close(self) -> None:
        """See PayoutProvider."""

    def check_truth(self) -> None:
        """What its events told is what its ledger of the truth says."""
        told: dict[str, tuple[int, int]] = {}
        for thing in self.objects():
            left, back = told.get(thing.reference, (0, 0))
            told[thing.reference] = left + 1, back + thing.is_back
        truth = self.sandbox.get("/_truth").json()["payouts"]
        assert told == {
            reference: (flows["left"]["times"], flows["back"]["times"]) for reference, flows in truth.items()
        }

    def _pages(self) -> list[list[ProviderEvent]]:
        found: list[list[ProviderEvent]] = []
        cursor: str | None = ""
        while cursor is not None:
            asked = {"limit": "100"} | ({"cursor": cursor} if cursor else {})
            page = self.sandbox.get("/events", params=asked).json()
            found += [
                list(parse(json.dumps(event).encode(), {"webhook-id": event["id"]})) for event in page["data"]
            ]
            cursor = page["next_cursor"]
        return found
