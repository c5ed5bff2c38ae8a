"""`ledgerbeat explain`: a snapshot of everything known about one reference."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from models.errors import NotFound
from models.reconciliation.explaining import Row, Snapshot
from models.reconciliation.explaining import explain as explain_reference
from ops.cli.connection import transaction_of
from ops.cli.output import as_json, harmless, print_json, print_table
from ops.running import running_settings

STATEMENT_SECONDS_MAX = 120
"""The records of the last runs are looked through without an index of their references."""

SECTIONS: Sequence[tuple[str, Sequence[str]]] = (
    ("deposits", ("provider", "reference", "owner", "state", "currency", "expected_minor", "captured_minor",
                  "refunded_minor", "charged_back_minor", "object_ids")),
    ("payouts", ("id", "owner", "state", "amount_minor", "currency", "provider", "provider_reference", "failure_code")),
    ("attempts", ("payout_id", "attempt_no", "reference", "object_id", "outcome", "error_code", "started_at")),
    ("jobs", ("id", "name", "origin", "state", "idempotency_key", "accepted_at", "last_error")),
    ("webhooks", ("id", "provider", "event_keys", "received_at", "bytes", "sha256")),
    ("ledger", ("transaction_id", "kind", "subject", "occurred_at", "code", "currency", "amount_minor")),
    ("records", ("business_date", "provider", "record_id", "kind", "reference", "amount_minor", "currency", "fee_minor",
                 "status", "occurred_at")),
    ("findings", ("id", "kind", "severity", "state", "subject", "amount_minor", "currency", "times_seen", "reason")),
    ("audit", ("at", "actor", "action", "subject", "reason")),
)  # fmt: skip


@click.command()
@click.argument("ref")
@click.option("--tenant", help="Only this tenant; default: every one that knows the reference.")
@click.option(
    "--bodies", is_flag=True, help="Print the webhooks' raw bodies too; they may hold personal data."
)
@as_json
def explain(ref: str, tenant: str | None, bodies: bool, as_json: bool) -> None:
    """Everything known about REF: a deposit's or payout's reference, an id of the provider's, a payout, a job, or what
    a finding is about (finding:17, or its bare number).

    Jobs, webhooks, deposit, payout with its attempts, ledger, the provider's records of the last runs, findings and
    audit.
    """
    with (
        transaction_of(running_settings(), statement_seconds=STATEMENT_SECONDS_MAX) as transaction,
        transaction() as opened,
    ):
        found = explain_reference(opened, ref, tenant=tenant, bodies=bodies)
    if as_json:
        print_json([asdict(one) | {"truncated": one.truncated} for one in found])
    if not found:
        raise NotFound(f"nothing is known of {harmless(ref)!r}{f' for {tenant}' if tenant else ''}")
    if not as_json:
        for one in found:
            print_snapshot(one)


def print_snapshot(found: Snapshot) -> None:
    """A section for each kind of row that there is."""
    click.secho(f"{harmless(found.reference)} of {found.tenant}", bold=True)
    for name, columns in SECTIONS:
        rows: Sequence[Row] = getattr(found, name)
        if rows:
            click.secho(f"\n{name}", bold=True)
            print_table(columns, [[row[column] for column in columns] for row in rows], empty="")
    for webhook in found.webhooks:
        if webhook["body"] is not None:
            _print_body(webhook)
    for payout in found.payouts:
        click.echo(f"\nits whole story: ledgerbeat payouts show {payout['id']}")
    if found.truncated:
        click.echo("there is more than is shown here")


def _print_body(webhook: dict[str, Any] | Row) -> None:
    click.secho(f"\nbody of webhook {webhook['id']}", bold=True)
    click.echo(harmless(bytes(webhook["body"]).decode(errors="backslashreplace")))
