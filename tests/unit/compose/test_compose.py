"""docker-compose.yml holds what production needs, and fits the compose schema, checked without an engine."""

import re
import shlex
import subprocess
import sys
from typing import Any

import pytest

from tests.unit.compose.reading import COMPOSE, ROOT, composition, services
from worker.celery import QUEUES

OURS = ("migrate", "shim", "worker", "payouts", "reconciliation", "backfills", "beat", "flower", "sandbox")
LASTING = tuple(name for name in services() if name != "migrate")


def text_of(service: dict[str, Any]) -> str:
    command = service["command"]
    return command if isinstance(command, str) else shlex.join(command)


def test_it_fits_the_compose_schema() -> None:
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(COMPOSE),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_services() -> None:
    assert set(services()) == {"postgres", "redis", *OURS}
    assert services()["sandbox"]["profiles"] == ["sandbox"]
    assert [name for name, service in services().items() if "profiles" in service] == ["sandbox"]


@pytest.mark.parametrize("name", LASTING)
def test_what_lasts_has_a_health_check_and_starts_again(name: str) -> None:
    service = services()[name]
    assert service["healthcheck"].keys() >= {"test", "interval", "timeout", "retries", "start_period"}
    assert service["restart"] == "unless-stopped"


def test_migrate_runs_once_and_the_others_wait_for_it() -> None:
    assert services()["migrate"]["restart"] == "no"
    assert "healthcheck" not in services()["migrate"]
    for name in ("shim", "worker", "payouts", "reconciliation", "backfills", "beat"):
        assert services()[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_every_queue_has_a_worker() -> None:
    workers = ("worker", "payouts", "reconciliation", "backfills")
    taken = [re.findall(r"--queues=(\S+)", text_of(services()[name])) for name in workers]
    assert sorted(queue for [queues] in taken for queue in queues.split(",")) == sorted(QUEUES)


def test_the_shim_starts_without_redis() -> None:
    assert "redis" not in services()["shim"]["depends_on"]


@pytest.mark.parametrize("name", services())
def test_every_service_has_time_to_stop_a_limit_and_bounded_logs(name: str) -> None:
    service = services()[name]
    assert int(service["stop_grace_period"].removesuffix("s")) >= 60
    assert service["init"] is True
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["logging"]["options"]["max-size"] == "10m"
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", OURS)
def test_ours_run_as_nobody_in_particular_and_cannot_change_themselves(name: str) -> None:
    service = services()[name]
    assert (service["user"], service["read_only"], service["cap_drop"]) == ("10001:10001", True, ["ALL"])


@pytest.mark.parametrize("name", services())
def test_secrets_are_files(name: str) -> None:
    service, defined = services()[name], composition()["secrets"]
    named = set(re.findall(r"/run/secrets/(\w+)", str(service)))
    held = set(service.get("secrets", []))
    assert named <= held <= set(defined)
    for variable, value in service.get("environment", {}).items():
        secret = re.search(r"PASSWORD|SECRET|TOKEN|KEY|AUTH|URL", variable) is not None
        assert secret is (variable.endswith("_FILE") and value.startswith("/run/secrets/")), variable


def test_every_secret_has_its_own_file_in_the_folder_that_git_ignores() -> None:
    files = {name: secret["file"] for name, secret in composition()["secrets"].items()}
    assert files == {name: f"./ops/compose/secrets/{name}" for name in files}
    ignored = (ROOT / "ops/compose/secrets/.gitignore").read_text().split()
    assert "*" in ignored


def test_only_migrate_has_the_owners_login() -> None:
    holders = {
        name for name, service in services().items() if "owner_database_url" in service.get("secrets", [])
    }
    assert holders == {"migrate"}


def test_beat_and_flower_hold_no_tenants_secret_and_no_database() -> None:
    for name in ("beat", "flower"):
        assert set(services()[name]["secrets"]) <= {"redis_url", "flower_auth"}


def test_redis_keeps_what_it_took() -> None:
    command = text_of(services()["redis"])
    for option in ("--appendonly yes", "--maxmemory-policy noeviction", "--maxmemory 256mb", "requirepass"):
        assert option in command
    assert services()["redis"]["volumes"] == ["redis:/data"]


def test_flower_shows_only_to_those_who_log_in() -> None:
    command = text_of(services()["flower"])
    assert "/run/secrets/flower_auth" in command
    assert 'test -n "$FLOWER_BASIC_AUTH"' in command
    assert "--read-only" in command


def test_databases_are_reached_from_inside_only() -> None:
    for name in ("postgres", "redis"):
        assert "ports" not in services()[name]
        assert services()[name]["networks"] == ["data"]
    assert composition()["networks"]["data"] == {"internal": True}


@pytest.mark.parametrize("name", ["shim", "flower", "sandbox"])
def test_published_ports_are_on_loopback_unless_told_otherwise(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in services()[name]["ports"])


def test_images_are_pinned_by_tag() -> None:
    for service in services().values():
        assert re.fullmatch(r"[a-z/]+:\d[\w.-]*", service["image"])
    dockerfile = (ROOT / "ops/Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:3\.13-slim-\w+", base) for base in bases)


def test_postgres_18_keeps_its_data_on_the_volume() -> None:
    assert services()["postgres"]["image"].startswith("postgres:18")
    assert "postgres:/var/lib/postgresql" in services()["postgres"]["volumes"]


def test_files_that_are_mounted_exist() -> None:
    mounted = [
        v.split(":")[0] for s in services().values() for v in s.get("volumes", []) if v.startswith("./")
    ]
    mounted += [config["file"] for config in composition()["configs"].values()]
    assert mounted
    assert all((ROOT / path).is_file() for path in mounted)
