"""Prove, by behaviour, that an ASGI project's deployment covers the seven deployment concepts of FastAPI."""
