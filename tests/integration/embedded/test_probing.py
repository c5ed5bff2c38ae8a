"""Asking whether a worker answers, through a broker that comes and goes."""

from pathlib import Path

from ops.embedded import EmbeddedServices
from ops.processes import worker_answers


def test_a_redis_restarted_since_the_last_question_is_a_no_and_not_an_error(open_home: Path) -> None:
    with EmbeddedServices(open_home, durable=False, with_postgres=False) as servers:
        url = servers.services.redis_url
        asked = [worker_answers(url, "worker")]
        servers.stop_redis()
        servers.start_redis()
        asked.append(worker_answers(url, "worker"))
        servers.stop_redis()
        asked.append(worker_answers(url, "worker"))
    assert asked == [False] * 3
