"""Runs the sandbox provider as a process of its own."""

from pathlib import Path

import uvicorn

from ops.sandbox.app import create_app
from ops.sandbox.config import SandboxConfig

GRACE_SECONDS = 3


def run(
    host: str,
    port: int,
    api_key: str,
    webhook_url: str | None,
    webhook_secret: str | None,
    state_file: Path | str | None = None,
    *,
    settle_seconds: float | None = 1.0,
    visibility_seconds: float = 0.0,
) -> None:
    """Serve until SIGTERM or SIGINT.

    With a `state_file`, state is read from it at the start and written to it at a clean stop.
    Raises `ConfigError` when a setting cannot be used.
    """
    config = SandboxConfig(
        api_key=api_key,
        webhook_url=webhook_url,
        webhook_secret=webhook_secret,
        settle_seconds=settle_seconds,
        visibility_seconds=visibility_seconds,
        state_file=None if state_file is None else Path(state_file),
    )
    uvicorn.run(
        create_app(config),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
