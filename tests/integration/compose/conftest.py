"""The compose installation without an engine: its role script, commands and health checks, on embedded servers."""

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from ops.compose.make_secrets import make_secrets
from ops.embedded import EmbeddedServices
from ops.embedded.binaries import find_postgres
from ops.embedded.ports import free_port
from tests.unit.compose.reading import ROOT, services

PORTS = ("8080", "5555", "8090")
HEALTHY_SECONDS_MAX = 180


@dataclass
class Installation:
    """Services start here as docker-compose.yml says, with its paths and ports replaced by this machine's own."""

    secrets: Path
    folder: Path
    superuser_url: str
    owner_url: str
    app_url: str
    ports: dict[str, int] = field(default_factory=dict)

    def environment(self, name: str) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("LEDGERBEAT_")}
        given = {key: self.local(value) for key, value in services()[name].get("environment", {}).items()}
        return (
            kept
            | {"PATH": path, "HOSTNAME": socket.gethostname(), "LEDGERBEAT_HOME": str(self.folder)}
            | given
        )

    def local(self, text: str) -> str:
        """A path, an address or a command of the containers, as it is here."""
        here = {"/run/secrets": str(self.secrets), "/etc/ledgerbeat": str(self.folder)}
        here |= {"/tmp": str(self.folder), "/var/lib/sandbox": str(self.folder)}  # noqa: S108 - the containers'
        here |= {"shim:": "127.0.0.1:", "0.0.0.0": "127.0.0.1"}  # noqa: S104 - never here
        here |= {port: str(free) for port, free in self.ports.items()}
        return re.sub("|".join(map(re.escape, here)), lambda found: here[found[0]], text)

    def command(self, name: str) -> list[str]:
        return [self.local(part) for part in services()[name]["command"]]

    def start(self, name: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self.command(name), cwd=ROOT, env=self.environment(name))

    def is_healthy(self, name: str) -> bool:
        kind, *test = (self.local(part) for part in services()[name]["healthcheck"]["test"])
        command = ["sh", "-c", *test] if kind == "CMD-SHELL" else test
        return _quiet(command, self.environment(name)) == 0

    def becomes_healthy(self, name: str, process: "subprocess.Popen[bytes]") -> bool:
        deadline = time.monotonic() + HEALTHY_SECONDS_MAX
        while time.monotonic() < deadline and process.poll() is None:
            if self.is_healthy(name):
                return True
            time.sleep(0.2)
        return False


def _quiet(command: list[str], environment: dict[str, str]) -> int:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=120, check=False)
    return done.returncode


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Migrated, with the roles of ops/compose/postgres-roles.sh, and with secrets that name the embedded servers."""
    folder = tmp_path_factory.mktemp("compose")
    home = Path(tempfile.mkdtemp(prefix="ledgerbeat-compose-"))
    home.chmod(stat.S_IRWXU | stat.S_IXGRP | stat.S_IXOTH)
    try:
        with EmbeddedServices(home, durable=False) as embedded:
            made = _install(folder, embedded.services.database_url, embedded.services.redis_url)
            subprocess.run(made.command("migrate"), cwd=ROOT, env=made.environment("migrate"), check=True)
            yield made
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _install(folder: Path, superuser_url: str, redis_url: str) -> Installation:
    secrets = folder / "secrets"
    make_secrets(secrets)
    database = _create_roles(secrets, superuser_url)
    urls = {name: _moved(secrets / f"{name}_database_url", database) for name in ("owner", "app")}
    (secrets / "redis_url").write_text(redis_url)
    example = (ROOT / "ops/compose/ledgerbeat.toml").read_text()
    (folder / "ledgerbeat.toml").write_text(example.replace("/run/secrets", str(secrets)))
    ports = {port: free_port() for port in PORTS}
    superuser = superuser_url.replace("postgresql+psycopg:", "postgresql:")
    return Installation(secrets, folder, superuser, urls["owner"], urls["app"], ports)


def _create_roles(secrets: Path, superuser_url: str) -> str:
    """Run the role script on a fresh database, as PostgreSQL's image would; the server's address."""
    url = make_url(superuser_url)
    tools = find_postgres().folder
    environment = os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PGHOST": str(url.host),
        "PGPORT": str(url.port),
        "POSTGRES_USER": str(url.username),
        "POSTGRES_DB": str(url.database),
        "LEDGERBEAT_SECRETS_DIR": str(secrets),
    }
    subprocess.run([str(ROOT / "ops/compose/postgres-roles.sh")], env=environment, check=True)
    return f"{url.host}:{url.port}"


def _moved(secret: Path, address: str) -> str:
    url = secret.read_text().strip().replace("postgres:5432", address)
    secret.write_text(url)
    return url
