"""The sandbox provider: a real HTTP server that stands in for a payment provider. README.md describes it."""
