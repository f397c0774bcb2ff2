"""The app behind the triggers: pure domain, ports, and the adapters that reach Azure."""
