"""A secret of a sink, read from where the settings say: never part of settings, documents, messages or the log."""

from __future__ import annotations

import os
from pathlib import Path

from bartizan.config.sinks import Secret
from bartizan.events.sinks.contract import SinkFailed


def reveal(secret: Secret) -> str:
    """The secret itself. Raises SinkFailed, which names the place and not the content."""
    if secret.env is not None:
        value = os.environ.get(secret.env)
        if value is None:
            way_out = "set it for `bartizan up`, or name a file: { file = ... }"
            raise SinkFailed(f"the variable {secret.env}, which should hold a secret, is not set", way_out)
        return value.strip()
    try:
        return Path(secret.file or "").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SinkFailed(f"the secret in {secret.file} cannot be read: {why}", "correct the file") from error
