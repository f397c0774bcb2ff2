"""`GET /api/openapi.json`: the API, described from the types of its requests and answers."""

from handlers.http.openapi.show_openapi import show_openapi

__all__ = ["show_openapi"]
