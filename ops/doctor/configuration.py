"""Settings: each is read alone, so that one that is wrong hides no other."""

import os
from collections.abc import Iterator, Mapping

from ops.doctor.findings import Finding, ok, problem, warning
from ops.running import noted_environment
from worker.settings import PREFIX, ProviderSettings, Settings, SettingsError, load_settings

FIX = "set it right in the environment, or in the file it names, and start again whatever reads it"


def read_settings(environ: Mapping[str, str] | None = None) -> tuple[Settings, dict[str, Finding]]:
    """The settings without those that cannot be read, and a problem for each of these, by its variable."""
    env = noted_environment(os.environ if environ is None else environ)
    others = {name: value for name, value in env.items() if not name.startswith(PREFIX)}
    good, wrong = dict(others), dict[str, Finding]()
    for name, value in sorted(env.items()):
        if not name.startswith(PREFIX):
            continue
        try:
            load_settings(others | {name: value})
        except SettingsError as error:
            wrong[name] = problem("settings", str(error), FIX)
        else:
            good[name] = value
    return load_settings(good), wrong


def check_configuration(settings: Settings) -> Iterator[Finding]:
    """Who is configured, and what they lack."""
    if settings.config is None:
        yield problem(
            "config", "no tenants are configured", "name a TOML file in LEDGERBEAT_CONFIG (README: Settings)"
        )
        return
    if not settings.tenants:
        yield problem(
            "config", f"{settings.config} names no tenant", "add [tenants.<name>] (README: Settings)"
        )
        return
    yield ok("config", f"{settings.config}: {', '.join(sorted(settings.tenants))}")
    for name, tenant in sorted(settings.tenants.items()):
        if not tenant.api_tokens:
            yield warning("config", f"tenant {name} has no API token: its HTTP door refuses every job",
                          f"add tenants.{name}.api_tokens, unless it uses SQL or Celery alone")  # fmt: skip
        if not tenant.providers:
            yield warning("config", f"tenant {name} has no provider: no webhook reaches it",
                          f"add [tenants.{name}.providers.<name>], unless it has none")  # fmt: skip
        for account in tenant.providers.values():
            yield from _ownership(f"tenants.{name}.providers.{account.name}", account)


def _ownership(where: str, account: ProviderSettings) -> Iterator[Finding]:
    """Whether the account says whose events are its own, and its key says the same."""
    if account.adapter == "adyen" and account.merchant_accounts is None:
        yield warning("config", f"{where} takes the events of any merchant account",
                      f'set {where}.merchant_accounts = ["..."]: a company\'s webhook tells of all it has')  # fmt: skip
    mode = _mode_of_key(account)
    if mode is not None and mode != account.live:
        said, live = ("live", "false") if mode else ("test", "true")
        yield problem("config", f"{where}: its api_key is of {said} mode, and live = {live}",
                      f"set {where}.live = {str(mode).lower()}, or give it a key of the other mode")  # fmt: skip


def _mode_of_key(account: ProviderSettings) -> bool | None:
    """True: a live key. None: it does not say (docs.stripe.com/keys)."""
    key = account.api_key.get_secret_value() if account.api_key and account.adapter == "stripe" else ""
    return {"live": True, "test": False}.get(key.split("_")[1] if key.startswith(("sk_", "rk_")) else "")
