"""Which jobs exist, and which arguments each takes: one schema for every door.

`JOBS` holds public names only: no caller may claim to be a provider.
"""

from collections.abc import Mapping

from models.errors import UnknownJob
from worker.catalogue.backfills import (
    BackfillCancel,
    BackfillCommand,
    BackfillOptions,
    BackfillPause,
    BackfillResume,
    BackfillStart,
)
from worker.catalogue.deposits import DepositAllocate, DepositExpect
from worker.catalogue.fields import Arguments
from worker.catalogue.parsing import parse_as
from worker.catalogue.payouts import (
    PayoutApprove,
    PayoutCancel,
    PayoutCommand,
    PayoutMarkFailed,
    PayoutMarkPaid,
    PayoutReject,
    PayoutRequest,
    PayoutRetry,
    ProviderPause,
    ProviderResume,
)
from worker.catalogue.policies import PolicySet
from worker.catalogue.reconciliation import ReconciliationRun
from worker.catalogue.wallets import (
    Award,
    WalletAward,
    WalletConfigure,
    WalletCredit,
    WalletDebit,
    WalletTransfer,
)

JOBS: Mapping[str, type[Arguments]] = {
    "wallets.credit": WalletCredit,
    "wallets.debit": WalletDebit,
    "wallets.transfer": WalletTransfer,
    "wallets.award": WalletAward,
    "wallets.configure": WalletConfigure,
    "deposits.expect": DepositExpect,
    "deposits.allocate": DepositAllocate,
    "payouts.request": PayoutRequest,
    "payouts.approve": PayoutApprove,
    "payouts.reject": PayoutReject,
    "payouts.cancel": PayoutCancel,
    "payouts.retry": PayoutRetry,
    "payouts.mark_paid": PayoutMarkPaid,
    "payouts.mark_failed": PayoutMarkFailed,
    "providers.pause": ProviderPause,
    "providers.resume": ProviderResume,
    "policies.set": PolicySet,
    "reconciliation.run": ReconciliationRun,
    "backfills.start": BackfillStart,
    "backfills.pause": BackfillPause,
    "backfills.resume": BackfillResume,
    "backfills.cancel": BackfillCancel,
}
"""Job name -> schema of its arguments."""

PROVIDER_EVENT = "webhooks.event"
"""The job that a webhook becomes; only the webhook door makes it."""


def parse(name: str, args: object) -> Arguments:
    """The checked arguments of job `name`. Raises UnknownJob and InvalidArguments (its `errors` quote no value)."""
    schema = JOBS.get(name)
    if schema is None:
        raise UnknownJob("no job of this name; the names are in /openapi.json")
    return parse_as(schema, args)


__all__ = [
    "JOBS",
    "PROVIDER_EVENT",
    "parse",
    "parse_as",
    "Arguments",
    "Award",
    "WalletAward",
    "WalletConfigure",
    "WalletCredit",
    "WalletDebit",
    "WalletTransfer",
    "DepositAllocate",
    "DepositExpect",
    "PayoutApprove",
    "PayoutCancel",
    "PayoutCommand",
    "PayoutMarkFailed",
    "PayoutMarkPaid",
    "PayoutReject",
    "PayoutRequest",
    "PayoutRetry",
    "ProviderPause",
    "ProviderResume",
    "PolicySet",
    "ReconciliationRun",
    "BackfillCancel",
    "BackfillCommand",
    "BackfillOptions",
    "BackfillPause",
    "BackfillResume",
    "BackfillStart",
]
