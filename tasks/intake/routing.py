"""Which family takes which job: every name of the catalogue, and the providers' events."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from tasks.backfills.commands import (
    Tenants,
    cancel_backfills,
    pause_backfills,
    resume_backfills,
    start_backfills,
)
from tasks.deposits.service import expect_deposits, touch_expected
from tasks.intake.port import Handler, Route, Routing, Touching
from tasks.payouts.accounts import pause_providers, resume_providers
from tasks.payouts.admission import apply_requests, touch_requests
from tasks.payouts.commands import (
    apply_approvals,
    apply_cancellations,
    apply_failed_marks,
    apply_paid_marks,
    apply_rejections,
    apply_retries,
    touch_payouts,
)
from tasks.policies.service import set_policies
from tasks.reconciliation.asking import ask_for_nights
from tasks.wallets.configuring import apply_configures
from tasks.wallets.service import apply_awards, apply_credits, apply_debits, apply_transfers, touch_owners
from tasks.webhooks.allocation import allocate_deposits
from tasks.webhooks.notice import Notice
from tasks.webhooks.service import apply_events, touch_events
from worker.catalogue import PROVIDER_EVENT, parse
from worker.resources import current
from worker.settings import TenantSettings

HANDLERS: dict[str, tuple[Handler[Any], Touching[Any] | None]] = {
    "wallets.credit": (apply_credits, touch_owners),
    "wallets.debit": (apply_debits, touch_owners),
    "wallets.transfer": (apply_transfers, touch_owners),
    "wallets.award": (apply_awards, touch_owners),
    "wallets.configure": (apply_configures, touch_owners),
    "deposits.expect": (expect_deposits, touch_expected),
    "deposits.allocate": (allocate_deposits, None),
    "payouts.request": (apply_requests, touch_requests),
    "payouts.approve": (apply_approvals, touch_payouts),
    "payouts.reject": (apply_rejections, touch_payouts),
    "payouts.cancel": (apply_cancellations, touch_payouts),
    "payouts.retry": (apply_retries, touch_payouts),
    "payouts.mark_paid": (apply_paid_marks, touch_payouts),
    "payouts.mark_failed": (apply_failed_marks, touch_payouts),
    "providers.pause": (pause_providers, None),
    "providers.resume": (resume_providers, None),
    "policies.set": (set_policies, None),
    "reconciliation.run": (ask_for_nights, None),
    "backfills.pause": (pause_backfills, None),
    "backfills.resume": (resume_backfills, None),
    "backfills.cancel": (cancel_backfills, None),
}


def routing_of(tenants: Tenants) -> Routing:
    """Every route. `tenants` are those of this process's settings: a backfill's source is named there."""
    start = partial(start_backfills, tenants=tenants)
    handlers = HANDLERS | {"backfills.start": (start, None)}
    routes = {
        name: Route(partial(parse, name), handler, touching=touching)
        for name, (handler, touching) in handlers.items()
    }
    return routes | {
        PROVIDER_EVENT: Route(Notice.from_args, apply_events, frozenset({"provider"}), touch_events)
    }


def _tenants() -> Mapping[str, TenantSettings]:
    return current().settings.tenants


ROUTING = routing_of(_tenants)
"""No app may claim to be a provider: its `webhooks.event` is an unknown job."""
