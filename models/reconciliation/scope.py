"""What a run is to judge, and what its long statements may take."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.ledger.codes import clearing_code

STATEMENT_SECONDS_MAX = 600
LIMITS = {
    "statement_timeout": f"{STATEMENT_SECONDS_MAX}s",
    "work_mem": "128MB",
    "plan_cache_mode": "force_custom_plan",
    "jit": "off",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """The lines that the provider was asked for lie in [fetched_from, fetched_until), those that are judged in
    [judged_from, judged_until); what moved after `settled_before` may still be on its way.

    `runs` are the account's runs whose records are still there and this one, by business date; of what happened before
    `forgotten_before` no record need be there any more. With `of_files` each run is told a part of the feed, a file of
    its own, and what the others were told of the window is part of this run's feed as well.
    """

    run_id: int
    tenant: str
    provider: str
    fetched_from: datetime
    fetched_until: datetime
    judged_from: datetime
    judged_until: datetime
    settled_before: datetime
    forgotten_before: datetime
    runs: tuple[int, ...] = ()
    of_files: bool = False

    @property
    def also(self) -> list[int]:
        """The runs whose records are part of this feed, beside this one."""
        return [run for run in self.runs if self.of_files and run != self.run_id]

    @property
    def values(self) -> dict[str, Any]:
        """As the statements of this room name them."""
        return asdict(self) | {
            "runs": list(self.runs),
            "also": self.also,
            "clearing": clearing_code(self.provider),
            "deposit": f"deposit:{self.provider}:",
            "fee": f"fee:{self.provider}:",
        }


def allow_long_statements(session: Session) -> None:
    """In this transaction: time and memory for a night's worth of rows, and no plan that was made for another."""
    for name, value in LIMITS.items():
        session.execute(text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value})
