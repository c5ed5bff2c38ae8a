"""Stripe's SDK with our network under it: nothing is tried twice, and what was never sent is known."""

import logging
from collections.abc import Mapping
from typing import Any

import stripe
from stripe import _util as stripe_util

from worker.providers.payouts.wire import Wire


def stripe_client(api_key: str, wire: Wire, base_url: str) -> stripe.StripeClient:
    """A client of one key. Connects nothing; its calls raise the wire's NotSentAtAll and Lost as they are."""
    _be_quiet()
    return stripe.StripeClient(
        api_key, base_addresses={"api": base_url}, http_client=_WireClient(wire), max_network_retries=0
    )


def _be_quiet() -> None:
    """The SDK logs whole requests at debug, prints them where STRIPE_LOG is set, and sends metrics about calls."""
    logging.getLogger("stripe").disabled = True
    stripe.log = None
    stripe_util.STRIPE_LOG = None
    stripe.enable_telemetry = False


class _WireClient(stripe.HTTPClient):
    """The SDK's way out: one call on the wire."""

    name = "ledgerbeat"

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        body = None if post_data is None else str(post_data).encode()
        reply = self._wire.call_url(method.upper(), url, headers or {}, body)
        return reply.body.decode("utf-8", "replace"), reply.status, reply.headers

    def close(self) -> None:
        """Nothing is kept between calls."""
