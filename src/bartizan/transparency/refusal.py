"""Why the auditor does not do what it was asked to, with the HTTP status that says so."""

from __future__ import annotations

__all__ = ["DISABLED", "Refused"]

DISABLED = "Namespace is disabled and read-only."
"""The words that Plexi's documentation has for it."""


class Refused(Exception):  # noqa: N818  named for what happened
    """A request that is not carried out. `reason` is one of `REASONS`, and a label of a metric."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


REASONS = {
    "certificate": "The client's certificate is missing, or its names may not do this.",
    "malformed": "The request is not understood.",
    "not_found": "There is no such namespace, epoch or report.",
    "disabled": "The namespace is disabled.",
    "order": "The epoch is not the one that follows.",
    "republished": "The epoch was published before.",
    "digest": "Another epoch has the digest.",
    "root": "The first epoch is not the root of the namespace.",
    "exists": "There is such a namespace already.",
    "signature": "The signature of a report is by none of the keys of the log or the auditor.",
}
"""Every reason by its name."""
