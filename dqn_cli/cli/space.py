"""What a search varies: the overrides of its command line, as Optuna's distributions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from omegaconf import DictConfig, OmegaConf

from dqn_cli.cli.packing import packed, seeds_of
from dqn_cli.config import BadInput

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = str | int | float


class Space(NamedTuple):
    """fixed: the overrides that every trial has, its seeds included. searched: key -> where its
    values are from, as its override says."""

    fixed: list[str]
    searched: dict[str, str]

    def distributions(self) -> dict[str, BaseDistribution]:
        """As Optuna has them; a choice is the text that Hydra's grammar has for it."""
        return {key: _distribution(_parsed(key, text)) for key, text in self.searched.items()}

    def corners(self) -> Iterator[list[str]]:
        """Overrides in which every choice and both ends of every interval occur."""
        values = {key: _ends(_parsed(key, text)) for key, text in self.searched.items()}
        for i in range(max(map(len, values.values()))):
            yield overrides({key: ends[i % len(ends)] for key, ends in values.items()})


def overrides(params: Mapping[str, Value]) -> list[str]:
    """The words of a command line that a trial with these values has."""
    return [f"{key}={value}" for key, value in params.items()]


def space(
    preset: Mapping[str, str], arguments: Sequence[str], config: DictConfig
) -> tuple[Space, list[str]]:
    """What is searched: the values of the preset and of the command line, which may give a key of
    the preset other values, or one value, and then it is not searched; and the preset's keys that
    this configuration has not. BadInput if nothing is searched."""
    absent = [key for key in preset if OmegaConf.select(config, key, default=...) is ...]
    parser = OverridesParser.create()
    given = parser.parse_overrides(list(arguments))
    typed = {override.get_key_element() for override in given}
    own = [f"{key}={text}" for key, text in preset.items() if key not in {*absent, *typed}]
    every = parser.parse_overrides(own) + given
    last = {o.get_key_element(): o for o in every if o.get_key_element() != "seed"}
    searched = {
        key: str(o.input_line).partition("=")[2].strip()
        for key, o in last.items()
        if o.is_sweep_override()
    }
    fixed = [str(o.input_line) for key, o in last.items() if key not in searched]
    if (seeds := seeds_of(every)) is not None:
        fixed.append(packed(seeds, None))
    if not searched:
        raise BadInput(
            "nothing to search: hydra/sweeper/space=NAME, or KEY='interval(LOW,HIGH)' or KEY=A,B"
        )
    for key, text in searched.items():
        _distribution(_parsed(key, text))
    return Space(fixed, searched), absent


def _parsed(key: str, text: str) -> Override:
    return OverridesParser.create().parse_override(f"{key}={text}")


def _choices(override: Override) -> list[str]:
    return list(dict.fromkeys(override.sweep_string_iterator()))


def _distribution(override: Override) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value, line = override.value(), override.input_line
    try:
        match value:
            case IntervalSweep(start=int(low), end=int(high)):
                return IntDistribution(low, high, log="log" in value.tags)
            case IntervalSweep(start=float(low), end=float(high)):
                return FloatDistribution(low, high, log="log" in value.tags)
            case RangeSweep(start=int(), stop=int(), step=int(step)):
                return IntDistribution(*_range(value), log="log" in value.tags, step=step)
            case ChoiceSweep() | RangeSweep():
                return CategoricalDistribution(_choices(override))
    except ValueError as error:
        raise BadInput(f"{line}: {error}") from error
    raise BadInput(f"{line}: a search takes intervals, ranges and lists of choices")


def _range(value: RangeSweep) -> tuple[int, int]:
    numbers = value.range()
    assert isinstance(numbers, range)
    if not numbers or numbers.step < 0:
        raise ValueError("a range that rises is expected")
    return numbers[0], numbers[-1]


def _ends(override: Override) -> Sequence[Value]:
    value = override.value()
    if isinstance(value, IntervalSweep):
        return [end for end in (value.start, value.end) if end is not None]
    return _choices(override)
