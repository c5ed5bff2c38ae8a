"""What a run is to judge, and what its long statements may take."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.ledger.codes import bank_code, clearing_code

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

    `take_id` is what this run was told; `takes` are that and the account's other whole takes whose records are still
    there, by business date. Of what happened before `forgotten_before` no record need be there any more. With
    `of_files` each run is told a part of the feed, a file of its own, and what the others were told of the window is
    part of this run's feed as well; what they are still to be told may lie in `awaited`, a tstzmultirange.
    `bank_account` is where the provider's own payouts to us go; with `is_bank` the account is that bank account.
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
    take_id: int = 0
    takes: tuple[int, ...] = ()
    of_files: bool = False
    awaited: str = "{}"
    bank_account: str | None = None
    is_bank: bool = False

    @property
    def also(self) -> list[int]:
        """The takes that are part of this feed, beside this run's own."""
        return [take for take in self.takes if self.of_files and take != self.take_id]

    @property
    def bank(self) -> str:
        """The ledger's code of the bank account."""
        return bank_code(self.bank_account or self.provider)

    @property
    def holds(self) -> str:
        """The code of the account that has what this provider holds for us."""
        return self.bank if self.is_bank else clearing_code(self.provider)

    @property
    def values(self) -> dict[str, Any]:
        """As the statements of this room name them."""
        return asdict(self) | {
            "takes": list(self.takes),
            "also": self.also,
            "codes": [clearing_code(self.provider), *([self.bank] if self.is_bank else [])],
            "bank": self.bank if self.is_bank else None,
            "settlement": f"settlement:{self.provider}:",
            "deposit": f"deposit:{self.provider}:",
            "fee": f"fee:{self.provider}:",
        }


def allow_long_statements(session: Session) -> None:
    """In this transaction: time and memory for a night's worth of rows, and no plan that was made for another."""
    for name, value in LIMITS.items():
        session.execute(text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value})
