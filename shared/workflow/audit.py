"""One log line for each thing that the app deletes or cancels, so that nothing disappears untold."""

from __future__ import annotations

from shared.logs import get_logger

_log = get_logger("finetune.audit")


def audit(action: str, resource: str, run_id: str, reason: str, *, dry_run: bool = False) -> None:
    """Log a deletion or a cancellation before it is asked for.

    Args:
        action: `delete endpoint`, `delete deployment`, `delete cluster` or `cancel job`.
        resource: The resource's name.
        run_id: The run that it belongs to, by its tags.
        reason: Why it goes, in a person's words.
        dry_run: Whether this is only what would be done.
    """
    fields = {"action": action, "resource": resource, "run_id": run_id, "reason": reason, "dry_run": dry_run}
    _log.warning("audit", extra=fields)
