"""What a check of the doctor says, and how checks are kept within their time."""

import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import unquote, urlsplit

from worker.settings import Settings

SECONDS_MAX = 3.0
Verdict = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, what was found, and for a problem or a warning what to do."""

    check: str
    verdict: Verdict
    found: str
    fix: str = ""


Check = Callable[[], Sequence[Finding]]


def ok(check: str, found: str) -> Finding:
    return Finding(check, "ok", found)


def warning(check: str, found: str, fix: str) -> Finding:
    return Finding(check, "warning", found, fix)


def problem(check: str, found: str, fix: str) -> Finding:
    return Finding(check, "problem", found, fix)


def run_together(checks: dict[str, Check]) -> list[Finding]:
    """All at once, each for at most SECONDS_MAX; one that hangs or breaks is a problem itself."""
    answers = {name: _ask(check) for name, check in checks.items()}
    until = time.monotonic() + SECONDS_MAX
    return [finding for name, answer in answers.items() for finding in _take(name, answer, until)]


def _ask(check: Check) -> Future[Sequence[Finding]]:
    """In a thread of its own that nobody waits for at the end."""
    answer: Future[Sequence[Finding]] = Future()

    def work() -> None:
        try:
            answer.set_result(check())
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True, name="doctor").start()
    return answer


def _take(name: str, answer: Future[Sequence[Finding]], until: float) -> Sequence[Finding]:
    try:
        return answer.result(max(0.0, until - time.monotonic()))
    except TimeoutError:
        return [
            problem(
                name,
                f"no answer within {SECONDS_MAX:g} s",
                "see whether the server hangs or a firewall drops",
            )
        ]
    except Exception as error:  # noqa: BLE001 - a check that breaks is told, the others go on
        return [problem(name, f"could not be checked: {first_line(error)}", "see the message")]


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def without_secrets(findings: Sequence[Finding], settings: Settings) -> list[Finding]:
    """Whatever a driver put into its message: no password and no token of ours is told."""
    secrets = sorted(_secrets(settings), key=len, reverse=True)
    if not secrets:
        return list(findings)
    hide = re.compile("|".join(map(re.escape, secrets)))
    return [replace(one, found=hide.sub("***", one.found), fix=hide.sub("***", one.fix)) for one in findings]


def _secrets(settings: Settings) -> set[str]:
    found: set[str] = set()
    for url in filter(None, (settings.database_url, settings.redis_url, settings.broker_url)):
        if password := urlsplit(url).password:
            found |= {password, unquote(password)}
    for tenant in settings.tenants.values():
        found |= {secret.get_secret_value() for secret in (*tenant.api_tokens, *tenant.notify_secrets)}
        for provider in tenant.providers.values():
            keys = [provider.api_key] if provider.api_key else []
            found |= {secret.get_secret_value() for secret in (*provider.webhook_secrets, *keys)}
        for source in tenant.backfills.values():
            if source.url and (password := urlsplit(source.url.get_secret_value()).password):
                found |= {password, unquote(password)}
    return found
