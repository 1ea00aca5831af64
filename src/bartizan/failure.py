"""The exception for what a person must act on.

Its text is shown as it is, without a traceback, so it names the thing, the place and the way out. Anything else that
escapes a command is a defect of ours and keeps its traceback.
"""

from __future__ import annotations


class Failure(Exception):  # noqa: N818  it is not an error in the program
    """Something that only the person at the keyboard can put right; its message says how."""
