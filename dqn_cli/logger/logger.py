"""What a logger is: an object that is handed every event of a run."""

from __future__ import annotations

from typing import Protocol

from dqn_cli.events import Event


class Logger(Protocol):
    """Consume the events of one run: the run directory and the progress display are loggers, and
    one that writes for TensorBoard would be another.

    Loggers are called by one thread, the one that conducts the run, one after the other in a fixed
    order. They cannot change a run: an event holds results, never the objects that train. All
    seeds of a run share its loggers, so an event names its seed; events of one seed come in the
    order of its env steps, those of different seeds may not.

    A logger has to keep up: training waits until `event` returns. An OSError raised by a logger
    ends the run with one line, as a full disk does; any other exception ends it with a traceback.
    """

    def event(self, event: Event) -> None:
        """Take in one event; `dqn_cli.events` says what each kind means. A logger ignores the
        kinds that it has no use for, as there will be new ones."""

    def close(self, status: str) -> None:
        """Release everything; no event follows. Called exactly once, however the run ended, with
        status `finished`, `interrupted` (it can be resumed), `pruned` (a search gave it up) or
        `failed`."""
