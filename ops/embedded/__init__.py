"""PostgreSQL and Redis for development, the demo and the tests: real servers, started and stopped by us."""

from ops.embedded.errors import EmbeddedError
from ops.embedded.services import EmbeddedServices, Services

__all__ = ["EmbeddedError", "EmbeddedServices", "Services"]
