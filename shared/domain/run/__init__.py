"""One run: its record, stages, decisions, slots, notifications, cost."""
