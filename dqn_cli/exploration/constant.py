"""Epsilon that stays where it is."""

from __future__ import annotations

from dqn_cli.types import Fraction


class Constant:
    def __init__(self, *, start: Fraction) -> None:
        self.start = start

    def __call__(self, step: int) -> float:
        return self.start
