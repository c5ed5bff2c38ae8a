"""`ledgerbeat up | demo | migrate | sandbox`: what runs, and what runs once."""

from pathlib import Path

import click

from ops.running import running_settings


@click.command()
@click.pass_context
def up(context: click.Context) -> None:
    """Run everything on this machine in the foreground; Ctrl-C stops it cleanly."""
    from ops.up import run

    context.exit(run())


@click.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """Run the whole story once, on embedded PostgreSQL and Redis, and verify the books."""
    from ops.demo import run

    context.exit(run())


@click.command()
def migrate() -> None:
    """Bring the database to the newest schema and note the configured tenants in it."""
    from ops.migrate import migrate as bring_to_head

    bring_to_head(running_settings())
    click.echo("the database is at the newest schema")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8090, show_default=True)
@click.option("--api-key", envvar="LEDGERBEAT_SANDBOX_API_KEY", help="The bearer key callers must send.")
@click.option(
    "--api-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the key.",
)
@click.option("--webhook-url", envvar="LEDGERBEAT_SANDBOX_WEBHOOK_URL", help="Where events are sent.")
@click.option(
    "--webhook-secret", envvar="LEDGERBEAT_SANDBOX_WEBHOOK_SECRET", help="whsec_...: signs the events."
)
@click.option(
    "--webhook-secret-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with it.",
)
@click.option(
    "--state-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the state here between two runs.",
)
def sandbox(
    host: str,
    port: int,
    api_key: str | None,
    api_key_file: Path | None,
    webhook_url: str | None,
    webhook_secret: str | None,
    webhook_secret_file: Path | None,
    state_file: Path | None,
) -> None:
    """Serve the sandbox payment provider: a real HTTP server with faults on request."""
    from ops.sandbox.server import run

    key = _given(api_key, api_key_file)
    if not key:
        raise click.UsageError("give the key with --api-key, --api-key-file or LEDGERBEAT_SANDBOX_API_KEY")
    run(host, port, key, webhook_url, _given(webhook_secret, webhook_secret_file), state_file)


def _given(value: str | None, file: Path | None) -> str | None:
    return file.read_text().strip() if file is not None else value
