"""Which family takes which job: every name of the catalogue, and the providers' events."""

from functools import partial
from typing import Any

from tasks.deposits.service import expect_deposits, touch_expected
from tasks.intake.port import Handler, Route, Routing, Touching
from tasks.policies.service import set_policies
from tasks.wallets.configuring import apply_configures
from tasks.wallets.service import apply_awards, apply_credits, apply_debits, apply_transfers, touch_owners
from tasks.webhooks.notice import Notice
from tasks.webhooks.service import apply_events, touch_deposits
from worker.catalogue import PROVIDER_EVENT, parse

HANDLERS: dict[str, tuple[Handler[Any], Touching[Any] | None]] = {
    "wallets.credit": (apply_credits, touch_owners),
    "wallets.debit": (apply_debits, touch_owners),
    "wallets.transfer": (apply_transfers, touch_owners),
    "wallets.award": (apply_awards, touch_owners),
    "wallets.configure": (apply_configures, touch_owners),
    "deposits.expect": (expect_deposits, touch_expected),
    "policies.set": (set_policies, None),
}

ROUTING: Routing = {
    **{
        name: Route(partial(parse, name), handler, touching=touching)
        for name, (handler, touching) in HANDLERS.items()
    },
    PROVIDER_EVENT: Route(Notice.from_args, apply_events, frozenset({"provider"}), touch_deposits),
}
"""No app may claim to be a provider: its `webhooks.event` is an unknown job."""
