"""/openapi.json tells the truth: schemathesis makes requests from it and holds every answer against it."""

import os
import subprocess
import sys
from pathlib import Path

import httpx

from tests.integration.http.serving import ACME_TOKEN
from worker.catalogue import JOBS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
EXAMPLES = "10"


def test_the_document_lists_every_door(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        *(f"/v1/jobs/{name}" for name in JOBS),
        "/v1/jobs/{name}",
        "/v1/webhooks/{tenant}/{provider}",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
    }


def test_schemathesis_finds_no_lie(shim: str, tmp_path: Path) -> None:
    arguments = [
        *("--config-file", str(HERE / "schemathesis.toml"), "run", f"{shim}/openapi.json"),
        *(
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            EXAMPLES,
            "--generation-database",
            "none",
        ),
        *("--continue-on-failure", "--warnings", "off", "--no-color"),
    ]
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "tests.integration.http.schemathesis_hooks",
        "PYTHONPATH": str(ROOT),
        "SHIM_TOKEN": ACME_TOKEN,
    }
    told = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
