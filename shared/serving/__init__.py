"""Serving callers: which endpoint answers a request."""
