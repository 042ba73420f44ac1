"""Deep Q-Networks from one command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "load"]

if TYPE_CHECKING:
    from dqn_cli.agent import load


def __getattr__(name: str) -> Any:
    """`dqn_cli.load`, which needs PyTorch, is imported when it is asked for."""
    if name == "load":
        from dqn_cli.agent import load

        return load
    raise AttributeError(f"module 'dqn_cli' has no attribute {name!r}")
