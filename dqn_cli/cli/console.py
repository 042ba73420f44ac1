"""What every command does with its terminal."""

from __future__ import annotations

import io
import os
import sys


def escape_what_does_not_fit() -> None:
    """Characters that the console has no code for are printed as escapes, instead of ending what
    prints them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_to_reader(text: str) -> None:
    """Print it, unless the other end of a pipe, such as `head`, has left."""
    try:
        print(text, flush=True)
    except BrokenPipeError:  # Python flushes again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
