"""Handlers of HTTP requests, events and timers: plain arguments in, plain result out. No SDKs here."""
