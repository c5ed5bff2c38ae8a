"""The example configuration with the secrets that make_secrets.py makes: they fit each other and the settings."""

import stat
from pathlib import Path

from ops.compose.make_secrets import make_secrets
from tests.unit.compose.reading import ROOT, composition
from worker.settings import load_settings


def test_every_secret_of_the_composition_is_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert set(make_secrets(folder)) == set(composition()["secrets"])
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert make_secrets(folder) == []
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    assert len(set(before.values())) == len(before)


def test_a_missing_url_is_made_from_the_password_that_is_there(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    (tmp_path / "redis_url").unlink()
    assert make_secrets(tmp_path) == ["redis_url"]
    password = (tmp_path / "redis_password").read_text().strip()
    assert (tmp_path / "redis_url").read_text() == f"redis://:{password}@redis:6379/0\n"


def test_the_folder_is_private_and_its_files_can_be_read_by_the_containers(tmp_path: Path) -> None:
    make_secrets(tmp_path / "secrets")
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()} == {0o644}


def test_the_example_configuration_loads_with_them(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    example = (ROOT / "ops/compose/ledgerbeat.toml").read_text()
    (tmp_path / "ledgerbeat.toml").write_text(example.replace("/run/secrets/", f"{tmp_path}/"))
    settings = load_settings(
        {
            "LEDGERBEAT_DATABASE_URL_FILE": str(tmp_path / "app_database_url"),
            "LEDGERBEAT_REDIS_URL_FILE": str(tmp_path / "redis_url"),
            "LEDGERBEAT_CONFIG": str(tmp_path / "ledgerbeat.toml"),
        }
    )
    assert settings.require_database_url().startswith("postgresql+psycopg://ledgerbeat_app:")
    assert settings.require_broker_url().endswith("@redis:6379/0")
    assert settings.tenants["acme"].providers["sandbox"].base_url == "http://sandbox:8090"


def test_the_example_is_what_the_installation_reads() -> None:
    assert composition()["configs"]["ledgerbeat"]["file"] == "./ops/compose/ledgerbeat.toml"
    assert (ROOT / "ops/compose/postgres-roles.sh").stat().st_mode & stat.S_IXUSR
