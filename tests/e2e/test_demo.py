"""`python -m ops demo`: the whole story, right, and nothing left."""

import os
import subprocess
import sys

import pytest

from ops.bootstrap import ROOT
from ops.demo.story import EXPECTED_WALLETS
from ops.embedded.process import wait_until
from tests.e2e.running import NOTHING_SET, new_home, processes_of

pytestmark = pytest.mark.e2e


def test_the_demo_tells_its_story_and_leaves_nothing() -> None:
    with new_home() as folder:
        environment = {
            **os.environ,
            **NOTHING_SET,
            "TMPDIR": str(folder),
            "LEDGERBEAT_HOME": str(folder / "home"),
        }
        command = [sys.executable, "-m", "ops", "demo"]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert wait_until(lambda: not processes_of(folder), 60), processes_of(folder)
        assert list(folder.glob("ledgerbeat-demo-*")) == []
    assert "every invariant holds, every wallet is right" in done.stdout
    assert "BROKEN" not in done.stdout
    for owner, _ in EXPECTED_WALLETS:
        assert f"\n{owner}: " in done.stdout
    for shown in (
        "bad_signature",
        "stale_signature",
        "duplicate",
        "idempotency_key_reused",
        "insufficient_funds",
        "same_person",
        "sending -> cooling, by answer, attempt 1, bank_unavailable",
        "sending -> in_doubt, by answer, attempt 1, timeout",
        "in_doubt -> ",
        "its money left the sandbox 1 times",
        "done: 6,004 rows; 6,000 posted, 0 replayed, 4 set aside",
        "done: 6,004 rows; 0 posted, 6,000 replayed, 4 set aside",
        "dry run: nothing was posted",
        "insufficient_funds  the wallet did not have the money, whatever the order of the rows",
        "ok     every invariant holds",
        "clean: provider and ledger agree on everything that is due",
        "\nreport: ",
    ):
        assert shown in done.stdout
