"""The steps of a run. Every step is idempotent."""
