"""What every command does with its terminal."""

from __future__ import annotations

import io
import sys


def escape_what_does_not_fit() -> None:
    """Characters that the console has no code for are printed as escapes, instead of ending what
    prints them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
