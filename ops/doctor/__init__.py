"""`ledgerbeat doctor`: what is configured, reachable, migrated, lagging; a fix for each problem; in a few seconds."""

from collections.abc import Mapping
from functools import partial

from ops.doctor.configuration import check_configuration, read_settings
from ops.doctor.database import check_database
from ops.doctor.findings import Finding, ok, run_together, without_secrets
from ops.doctor.queues import check_broker, check_redis

__all__ = ["Finding", "examine"]


def examine(environ: Mapping[str, str] | None = None) -> list[Finding]:
    """Every finding, in the order of what depends on what. Reads only, takes a few seconds whatever is down."""
    settings, wrong = read_settings(environ)
    findings = list(wrong.values()) or [ok("settings", "all can be read")]
    if not wrong.keys() & {"LEDGERBEAT_CONFIG"}:
        findings += check_configuration(settings)
    findings += run_together(
        {
            "database": partial(check_database, settings),
            "redis": partial(check_redis, settings),
            "broker": partial(check_broker, settings),
        }
    )
    return without_secrets(findings, settings)
