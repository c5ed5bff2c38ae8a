"""The webhook door: POST /v1/webhooks/{tenant}/{provider}. Verify the raw body, keep it, one job per event."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from models.jobs.accept import Accepted, JobRequest, Rejected
from worker.catalogue import PROVIDER_EVENT
from worker.http.batching import Batcher, NotRecorded
from worker.http.credentials import Sender, Senders
from worker.http.doors import Incoming
from worker.http.jobs import rejection
from worker.http.limits import WEBHOOK_BYTES_MAX, check_announced_length, read_body
from worker.http.metrics import Metrics
from worker.http.problems import Refusal, not_accepted
from worker.http.recording import Delivery, Submission
from worker.providers.event_keys import event_job_key
from worker.providers.port import UNSIGNED, ProviderEvent, WebhookRefused
from worker.providers.registry import Received, receive


class WebhookDoor:
    """Checks a webhook, has it recorded, answers."""

    def __init__(self, senders: Senders, batcher: Batcher, metrics: Metrics) -> None:
        self._senders = senders
        self._batcher = batcher
        self._metrics = metrics

    async def post(self, request: Incoming) -> dict[str, Any]:
        """The number of events, once they are durable; every other answer is a Refusal."""
        tenant, provider = request.segments(2)
        sender = self._senders.sender(tenant, provider)
        check_announced_length(request, WEBHOOK_BYTES_MAX)
        body, now = await read_body(request, WEBHOOK_BYTES_MAX), datetime.now(UTC)
        received = _verified(sender, request, body, now)
        if received.secret_index == UNSIGNED:
            return self._pass_over(sender)
        self._metrics.count_secret(tenant, provider, received.secret_index)
        request.facts.update(tenant=tenant, provider=provider, events=len(received.events))
        answers = await self._record(submission(tenant, provider, received, body, now))
        for answer in answers:
            self._metrics.count_answer(tenant, PROVIDER_EVENT, answer)
        return _members(request, answers)

    def _pass_over(self, sender: Sender) -> dict[str, Any]:
        """Nothing in it moves money and nothing says who sent it: nothing is kept. A stranger gets the same answer."""
        if sender.account is not None:
            self._metrics.unsigned.labels(sender.tenant, sender.account.name).inc()
        return {"received": 0, "duplicate": False}

    async def _record(self, webhook: Submission) -> Sequence[Accepted | Rejected]:
        try:
            return (await self._batcher.submit(webhook)).answers
        except NotRecorded:
            raise not_accepted() from None


def submission(tenant: str, provider: str, received: Received, body: bytes, now: datetime) -> Submission:
    """The delivery as it came and a job for each of its events."""
    delivery = Delivery(
        tenant,
        provider,
        tuple(event.event_key for event in received.events),
        body,
        received.secret_index,
        now,
    )
    jobs = tuple(_job(tenant, provider, event) for event in received.events)
    return Submission(jobs, delivery)


def _job(tenant: str, provider: str, event: ProviderEvent) -> JobRequest:
    args = event.as_args()
    key = event_job_key(provider, event.event_key, args)
    return JobRequest(tenant, PROVIDER_EVENT, "provider", key, {**args, "provider": provider})


def _verified(sender: Sender, request: Incoming, body: bytes, now: datetime) -> Received:
    capture = sender.account.capture if sender.account else "automatic"
    ours = sender.account.ownership if sender.account else None
    try:
        return receive(sender.adapter, sender.webhook_secrets, request.headers, body, now, capture, ours)
    except WebhookRefused as refused:
        challenge = {"WWW-Authenticate": "Signature"} if refused.code != "malformed_json" else None
        raise Refusal(refused.code, str(refused), headers=challenge) from None


def _members(request: Incoming, answers: Sequence[Accepted | Rejected]) -> dict[str, Any]:
    duplicate = True
    for answer in answers:
        if isinstance(answer, Rejected):
            raise rejection(answer)
        duplicate = duplicate and answer.duplicate
    request.facts["duplicate"] = duplicate
    return {"received": len(answers), "duplicate": duplicate}
