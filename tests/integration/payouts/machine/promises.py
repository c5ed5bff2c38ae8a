"""What must hold after every step, asked of tables and of the provider's truth by means other than the code's."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from models.ledger.verify import verify
from models.payouts.states import MOVES
from tests.integration.payouts.machine.desk import CLEARING, Payday

STEPS = """
    SELECT DISTINCT from_state, to_state FROM payout_events
    WHERE tenant = :tenant AND to_state IS NOT NULL AND from_state IS NOT NULL
"""
HELD = """
    SELECT owner, currency, sum(balance_minor)::bigint AS held FROM accounts
    WHERE tenant = :tenant AND owner IS NOT NULL AND code LIKE '%held' GROUP BY 1, 2 HAVING sum(balance_minor) <> 0
"""
COUNTING = ("awaiting_approval", "approved", "sending", "submitted", "in_doubt", "cooling", "paid")
OPEN = COUNTING[:-1]

Day = tuple[str, str, date]


class Promises:
    """Remembers what was allowed when, and holds the tables against it."""

    def __init__(self, payday: Payday) -> None:
        self.payday = payday
        self.needs_approval: set[UUID] = set()
        self.highest_limit: dict[Day, float] = defaultdict(int)
        self.lowest_cooldown = float("inf")
        self.highest_retries = 0

    def note_policy(self) -> None:
        policy = self.payday.policy()
        self.lowest_cooldown = min(self.lowest_cooldown, policy.payout_cooldown_seconds)
        self.highest_retries = max(self.highest_retries, policy.payout_retry_limit)

    def note_request(self, payout_id: UUID) -> None:
        """It was admitted under the policy of this moment."""
        policy, row = self.payday.policy(), self.payday.desk.payout(payout_id)
        threshold = policy.approval_threshold_minor
        if threshold is not None and row["amount_minor"] > threshold:
            self.needs_approval.add(payout_id)
        limit = policy.daily_payout_limit_minor
        day = (row["owner"], row["currency"], row["business_date"])
        self.highest_limit[day] = max(self.highest_limit[day], float("inf") if limit is None else limit)
        assert self.used()[day] <= self.highest_limit[day], f"limit exceeded: {day}"

    def used(self) -> Counter[Day]:
        """What each day has really taken: all that has left, or may yet leave."""
        taken: Counter[Day] = Counter()
        for row in self.payday.payouts():
            left, back = self.payday.left(row["id"])
            if row["state"] in COUNTING or left > back:
                taken[row["owner"], row["currency"], row["business_date"]] += row["amount_minor"]
        return taken

    def check(self) -> list[dict[str, Any]]:
        """The payouts as they are, all in order."""
        rows = self.payday.payouts()
        self._check_books()
        self._check_held(rows)
        for row in rows:
            self._check_truth(row)
            self._check_keys(row["id"])
            self._check_four_eyes(row)
        assert all(step["to_state"] in MOVES[step["from_state"]] for step in self.payday.desk.rows(STEPS)), (
            "a state was reached outside the moves"
        )
        return rows

    def _check_books(self) -> None:
        with self.payday.desk.transaction() as session:
            broken = [one for one in verify(session, self.payday.desk.tenant) if one.broken]
        assert not broken, f"verify: {broken}"

    def _check_held(self, rows: list[dict[str, Any]]) -> None:
        expected: Counter[tuple[str, str]] = Counter()
        for row in rows:
            if row["state"] in OPEN:
                expected[row["owner"], row["currency"]] += row["amount_minor"]
        found = {(row["owner"], row["currency"]): row["held"] for row in self.payday.desk.rows(HELD)}
        assert found == expected, f"held money is not that of open payouts: {found}, {dict(expected)}"

    def _check_truth(self, row: Mapping[str, Any]) -> None:
        left, back = self.payday.left(row["id"])
        assert left <= 1, f"paid twice: {row['id']} left {left} times"
        if row["state"] in ("failed", "cancelled", "awaiting_approval"):
            assert left == back, f"money left for a payout that is {row['state']}: {row['id']}"
        if row["state"] in ("submitted", "paid", "returned"):
            assert left == 1, f"no money left for a payout that is {row['state']}: {row['id']}"
        if row["state"] == "returned":
            assert back == 1, f"nothing came back of {row['id']}"

    def _check_keys(self, payout_id: UUID) -> None:
        """So many keys as the retry limit allows, a cooldown between them."""
        used = sorted(self.payday.world.keys.get(payout_id, {}).values())
        assert len(used) <= self.highest_retries + 1, f"too many attempts: {payout_id} {used}"
        gaps = [later - sooner for sooner, later in pairwise(used)]
        shortest = timedelta(seconds=self.lowest_cooldown)
        assert all(gap >= shortest for gap in gaps), f"sent within the cooldown: {payout_id} {gaps}"

    def _check_four_eyes(self, row: Mapping[str, Any]) -> None:
        if row["id"] not in self.needs_approval or row["state"] in ("awaiting_approval", "cancelled"):
            return
        approver, requester = row["approved_by"], row["requested_by"]
        assert approver is not None, f"sent without approval: {row['id']}"
        assert approver.casefold() != requester.casefold(), f"one person did both: {row['id']}"

    def check_end(self) -> None:
        """Once everything has settled, each payout has ended and the provider says the same of it."""
        for row in self.payday.payouts():
            left, back = self.payday.left(row["id"])
            expected = {"paid": (1, 0), "returned": (1, 1)}.get(row["state"], (back, back))
            assert row["state"] not in OPEN, f"never ended: {row}"
            assert (left, back) == expected, (
                f"the provider says otherwise: {row['id']} {row['state']} {left, back}"
            )
        gone: Counter[str] = Counter()
        for thing in self.payday.world.objects():
            gone[thing.currency] += 0 if thing.is_back else thing.amount_minor
        for currency, minor in gone.items():
            assert self.payday.desk.balance(CLEARING, currency) == minor, f"clearing differs: {currency}"


def next_due(payday: Payday, now: datetime) -> float:
    """Seconds until something happens to a payout by itself."""
    [row] = payday.desk.rows(
        """SELECT min(greatest(least(next_attempt_at, claimed_until, next_lookup_at,
            CASE WHEN state = 'awaiting_approval' THEN approval_expires_at END), dispatched_until)) AS at
            FROM payouts WHERE tenant = :tenant
            AND state NOT IN ('paid', 'failed', 'cancelled', 'returned')"""
    )
    return max((row["at"] - now).total_seconds(), 1.0) if row["at"] else 60.0
