"""Which family takes which job: every name of the catalogue, and the providers' events."""

from functools import partial
from typing import Any

from tasks.deposits.service import expect_deposits
from tasks.intake.port import Handler, Route, Routing
from tasks.policies.service import set_policies
from tasks.wallets.configuring import apply_configures
from tasks.wallets.service import apply_awards, apply_credits, apply_debits, apply_transfers
from tasks.webhooks.notice import Notice
from tasks.webhooks.service import apply_events
from worker.catalogue import parse

HANDLERS: dict[str, Handler[Any]] = {
    "wallets.credit": apply_credits,
    "wallets.debit": apply_debits,
    "wallets.transfer": apply_transfers,
    "wallets.award": apply_awards,
    "wallets.configure": apply_configures,
    "deposits.expect": expect_deposits,
    "policies.set": set_policies,
}

ROUTING: Routing = {
    **{name: Route(partial(parse, name), handler) for name, handler in HANDLERS.items()},
    "webhooks.event": Route(Notice.from_args, apply_events, frozenset({"provider"})),
}
"""No app may claim to be a provider: its `webhooks.event` is an unknown job."""
