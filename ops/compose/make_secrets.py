"""Makes the secret files that docker-compose.yml names. Standard library only; what is there already is kept.

    python3 ops/compose/make_secrets.py [FOLDER]

Afterwards replace what must come from elsewhere, such as a payment provider's keys.
"""

import base64
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "secrets"
DATABASE = "postgresql://{user}:{password}@postgres:5432/ledgerbeat"
RANDOM = (
    "postgres_password",
    "owner_password",
    "app_password",
    "redis_password",
    "acme_api_token",
    "acme_sandbox_key",
)


def make_secrets(folder: Path) -> list[str]:
    """Write every missing file and return their names.

    The files are readable by all, because the containers' users must read them; only its owner enters the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    made = [name for name in RANDOM if _write(folder / name, secrets.token_urlsafe(32))]
    owner, app, redis = (_read(folder / f"{name}_password") for name in ("owner", "app", "redis"))
    derived = {
        "owner_database_url": DATABASE.format(user="ledgerbeat_owner", password=owner),
        "app_database_url": DATABASE.format(user="ledgerbeat_app", password=app),
        "redis_url": f"redis://:{redis}@redis:6379/0",
        "flower_auth": f"ops:{secrets.token_urlsafe(18)}",
        "acme_sandbox_webhook_secret": "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
    }
    return made + [name for name, value in derived.items() if _write(folder / name, value)]


def _read(path: Path) -> str:
    return path.read_text().strip()


def _write(path: Path, value: str) -> bool:
    if path.exists():
        return False
    path.write_text(value + "\n")
    path.chmod(0o644)
    return True


def main(arguments: Sequence[str]) -> None:
    folder = Path(arguments[0]) if arguments else FOLDER
    made = make_secrets(folder)
    print(f"{folder}: made {', '.join(made)}" if made else f"{folder}: everything is there already")


if __name__ == "__main__":
    main(sys.argv[1:])
