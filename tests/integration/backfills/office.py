"""An operator's desk for backfills: files of an older wallet, settings that name them, and what stands afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from models.ledger.verify import verify
from tests.integration.ledger.postings import available
from tests.integration.repair.commands import Ran, Run
from worker.database import Transaction

HEADER = "id,owner,amount,currency,at"
MAPPING = """
namespace = "oldwallet"
unit = "major"
reason = "history"
[columns]
id = "id"
owner = "owner"
amount = "amount"
currency = "currency"
occurred_at = "at"
"""
CONFIG = """
[tenants.acme]
timezone = "Europe/Istanbul"
[tenants.acme.providers.sandbox]
adapter = "sandbox"
base_url = "http://127.0.0.1:9"
api_key = "file:webhook"
webhook_secrets = ["file:webhook"]
[tenants.acme.backfills.history]
path = "{folder}/history.csv"
format = "csv"
[tenants.acme.backfills.history.mapping]
namespace = "oldwallet"
unit = "major"
reason = "history"
columns = {{id = "id", owner = "owner", amount = "amount", currency = "currency", occurred_at = "at"}}
[tenants.acme.backfills.missed]
provider = "sandbox"
[tenants.globex]
"""
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def write_config(folder: Path) -> Path:
    """A configuration with a source of each kind that needs no server."""
    (folder / "webhook").write_text(WEBHOOK_SECRET)
    config = folder / "ledgerbeat.toml"
    config.write_text(CONFIG.format(folder=folder))
    return config


def row(number: int, owner: str = "ada", amount: str = "1.50", currency: str = "EUR", at: str = "") -> str:
    return f"h-{number},{owner},{amount},{currency},{at or '2025-03-14T12:00:00Z'}"


@dataclass
class Office:
    """`run` is the command line, `folder` where its files lie."""

    run: Run
    transaction: Transaction
    folder: Path

    def file(self, *rows: str, name: str = "history.csv", header: str = HEADER) -> Path:
        path = self.folder / name
        path.write_text("".join(f"{line}\n" for line in (header, *rows)))
        return path

    def mapping(self, told: str = MAPPING) -> Path:
        path = self.folder / "mapping.toml"
        path.write_text(told)
        return path

    def start(self, *options: object, file: Path | None = None, here: bool = True) -> Ran:
        """Of the file's rows as history, in this process."""
        path = file or self.folder / "history.csv"
        told = ("--tenant", "acme", "--kind", "postings", "--file", path, "--mapping", self.mapping())
        return self.run("backfill", "start", *told, *(("--here",) if here else ()), *options)

    def started(self, *options: object, file: Path | None = None) -> Mapping[str, Any]:
        """The run as JSON tells it."""
        found: Mapping[str, Any] = self.start(*options, "--json", file=file).json
        return found

    def rows(self, query: str, **values: object) -> Sequence[Mapping[str, Any]]:
        with self.transaction() as session:
            return [dict(one) for one in session.execute(text(query), values).mappings()]

    def wallet(self, owner: str = "ada") -> int:
        return available(self.transaction, owner, tenant="acme")

    def posted(self) -> int:
        """Ledger transactions there are."""
        return len(self.rows("SELECT id FROM ledger_transactions"))

    def is_sound(self) -> bool:
        with self.transaction() as session:
            return not [check for check in verify(session) if check.broken]
