"""The desks of two tenants, and a lane in which jobs stand for many reasons."""

from tests.integration.families.conftest import desk, other_desk

__all__ = ["desk", "other_desk"]
