"""A tenant that takes deposits and pays out through a real sandbox, and an operator with the commands, today."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from models.payouts.payout import attempt_reference
from tasks.reconciliation.completeness import Sweep, fill_gaps
from tasks.reconciliation.hands import Hands
from tests.integration.payouts.cashier import Cashier
from tests.integration.providers.accounts import account
from tests.integration.repair.commands import Run
from tests.integration.sandbox.running import API_KEY, Sandbox
from worker.providers.records.asking import Patience
from worker.providers.records.events import missed_events
from worker.settings import ProviderSettings, TenantSettings

CONFIG = """
[tenants.acme]
timezone = "Europe/Istanbul"
[tenants.acme.providers.sandbox]
adapter = "sandbox"
base_url = "{base_url}"
api_key = "file:key"
webhook_secrets = ["file:webhook"]
"""
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WEEK = timedelta(days=7)


@dataclass
class Shop(Cashier):
    """Its business time is the machine's: the sandbox dates what it does."""

    sandbox: Sandbox

    @property
    def account(self) -> ProviderSettings:
        return account("sandbox", str(self.sandbox.base_url), API_KEY)

    def hands(self, reports: Path) -> Hands:
        tenants = {self.tenant: TenantSettings(name=self.tenant, providers={"sandbox": self.account})}
        return Hands(self.transaction, tenants, reports, patience=Patience(tries=1))

    def today(self) -> date:
        return datetime.now(ZoneInfo("Europe/Istanbul")).date()

    def sells(self, reference: str, amount_minor: int) -> str:
        """A deposit that was announced, and captured at the sandbox; its webhook is not told."""
        self.do(
            "deposits.expect",
            {"provider": "sandbox", "reference": reference, "owner": "ada", "amount_minor": amount_minor,
             "currency": "EUR"},
        )  # fmt: skip
        return str(self.sandbox.deposit(reference, amount_minor)["id"])

    def pays(self, amount_minor: int) -> str:
        """A payout that was sent and settled there; our reference of it."""
        payout_id = self.opened(amount_minor)
        reference = attempt_reference(payout_id, 1)
        answer = self.sandbox.pay_out(reference, "ba_ada", amount_minor=amount_minor)
        self.attempt(payout_id, "sending")
        self.sent(payout_id)
        settled = self.sandbox.post(f"/payouts/{answer.json()['id']}/settle", json={"status": "paid"})
        assert settled.status_code == 200, settled.text
        return reference

    def hears(self) -> Sweep:
        """The provider's list of events, swept and worked off."""
        self.now = datetime.now(UTC)
        listed = missed_events(self.account, self.now - WEEK, self.now + WEEK)
        found = fill_gaps(self.transaction, self.tenant, self.account, listed, now=self.now)
        self.drain()
        return found


def write_config(folder: Path, base_url: str) -> Path:
    (folder / "key").write_text(API_KEY)
    (folder / "webhook").write_text(WEBHOOK_SECRET)
    config = folder / "ledgerbeat.toml"
    config.write_text(CONFIG.format(base_url=base_url))
    return config


def reconcile(shop: Shop, run: Run, *more: object) -> tuple[int, str, str]:
    """The command, for today: exit code, standard output, standard error."""
    ran = run("reconcile", "--tenant", "acme", "--provider", "sandbox", "--date", shop.today(), *more)
    return ran.code, ran.out, ran.err
