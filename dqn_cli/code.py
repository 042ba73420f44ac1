"""Code that a configuration names: how it is found, and the types of keys that can name some."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NamedTuple, get_args


class NamesCode(NamedTuple):
    """Marks the type of a key whose value can make Python import something. `foreign` is whether a
    value names code from outside this package and its libraries."""

    foreign: Callable[[Any], bool]


def _strings(value: Any) -> Iterator[str]:
    """Every text in a nest of dictionaries and lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for child in value.items():
            yield from _strings(child)
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _strings(child)


def _foreign_wrappers(wrappers: Any) -> bool:
    """Gymnasium's own are known, but for those that record: they write where they are asked to."""
    return not all(
        isinstance(wrapper, dict)
        and re.fullmatch(r"gymnasium\.wrappers\.(?!Record)\w+", str(wrapper.get("_target_")))
        and not any(":" in text for text in _strings(wrapper))
        for wrapper in wrappers
    )


Module = Annotated[str, NamesCode(lambda value: True)]
# gymnasium.make imports the module of "module:Name-v0".
EnvId = Annotated[str, NamesCode(lambda value: ":" in str(value))]
# Some of Gymnasium's own environments take such an id as an argument.
EnvKwargs = Annotated[
    dict[str, Any], NamesCode(lambda value: any(":" in text for text in _strings(value)))
]
Wrappers = Annotated[list[dict[str, Any]], NamesCode(_foreign_wrappers)]


def marks(hint: Any) -> Iterator[NamesCode]:
    """The marks of a type hint, also of those within it."""
    for inner in (*getattr(hint, "__metadata__", ()), *get_args(hint)):
        if isinstance(inner, NamesCode):
            yield inner
        else:
            yield from marks(inner)


def load(name: str) -> Any:
    """The module `name`, also from the current folder, as `python` would find it; but after what is
    installed, so that no file there can take the place of a library."""
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
    importlib.invalidate_caches()  # it may have been written just now
    return importlib.import_module(name)


def attribute(target: str) -> Any:
    """What `module.name` names."""
    module, _, name = target.rpartition(".")
    return getattr(load(module), name)
