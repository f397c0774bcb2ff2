"""Handlers of HTTP requests, events and timers. They take and return plain values and import no SDKs."""
