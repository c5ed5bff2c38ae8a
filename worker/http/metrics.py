"""What this process counts, and the one text in which it and the database are shown to Prometheus."""

from collections.abc import Callable, Iterable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from models.jobs.accept import Accepted, Rejected

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1, 2, 5, 10, 20, 50, 100)


class Metrics:
    """The shim's metrics, in a registry of their own. Labels are tenants, routes, codes: never a caller's words."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "ledgerbeat_http_requests", "Requests answered", ["route", "method", "status"], registry=registry
        )
        self.seconds = Histogram(
            "ledgerbeat_http_request_seconds",
            "Time to the answer",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self.refused = Counter(
            "ledgerbeat_http_refused", "Requests refused", ["route", "code"], registry=registry
        )
        self.tokens = Counter(
            "ledgerbeat_http_token_matched",
            "Which of a tenant's API tokens was used; an index that stays still can be retired",
            ["tenant", "index"],
            registry=registry,
        )
        self.secrets = Counter(
            "ledgerbeat_webhook_secret_matched",
            "Which of the webhook secrets signed; an index that stays still can be retired",
            ["tenant", "provider", "index"],
            registry=registry,
        )
        self.unsigned = Counter(
            "ledgerbeat_webhook_unsigned",
            "Notifications without a signature that move no money: answered, and nothing kept",
            ["tenant", "provider"],
            registry=registry,
        )
        self.jobs = Counter(
            "ledgerbeat_http_jobs", "Jobs answered", ["tenant", "name", "answer"], registry=registry
        )
        self.commits = Histogram(
            "ledgerbeat_http_commit_requests",
            "Requests that shared a commit",
            buckets=SIZES,
            registry=registry,
        )
        self.waiting = Gauge("ledgerbeat_http_waiting", "Requests that wait for a commit", registry=registry)
        # To find a labelled child costs more than to count with it.
        self._request_of = cache(self.requests.labels)
        self._seconds_of = cache(self.seconds.labels)
        self._token_of = cache(self.tokens.labels)
        self._secret_of = cache(self.secrets.labels)
        self._jobs_of = cache(self.jobs.labels)

    def count_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request, answered."""
        self._request_of(route, method, status).inc()
        self._seconds_of(route).observe(seconds)

    def count_token(self, tenant: str, index: int) -> None:
        self._token_of(tenant, index).inc()

    def count_secret(self, tenant: str, provider: str, index: int) -> None:
        self._secret_of(tenant, provider, index).inc()

    def count_answer(self, tenant: str, name: str, answer: Accepted | Rejected) -> None:
        """One job: accepted, duplicate, or the code of its refusal."""
        self._jobs_of(tenant, name, _label(answer)).inc()

    def add(self, families: Callable[[], Iterable[Metric]]) -> None:
        """Show these too, asked for at each scrape."""
        self.registry.register(_Families(families))

    def text(self) -> bytes:
        return generate_latest(self.registry)


def _label(answer: Accepted | Rejected) -> str:
    if isinstance(answer, Rejected):
        return answer.error.code
    return "duplicate" if answer.duplicate else "accepted"


class _Families(Collector):
    def __init__(self, families: Callable[[], Iterable[Metric]]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families()

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering asks the database nothing."""
        return ()
