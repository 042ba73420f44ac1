"""What a configuration may say: every key's type and range, checked before anything is made.

The run's own keys are the fields of `Config`. The keys of a group are the keyword-only arguments
of the part that its `_target_` names, so a part's signature is its schema and nothing is said
twice. Whatever is wrong is one `BadInput` line: key, value, what is allowed.
"""

from __future__ import annotations

import inspect
import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from annotated_types import Ge, Le, MinLen
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
)

from dqn_cli import code
from dqn_cli.types import Count, Fraction, Positive

GROUPS = (
    "env", "algo", "buffer", "storage", "network", "target", "exploration", "optimizer", "device",
)  # fmt: skip
Seed = Annotated[int, Ge(0), Le(2**63 - 1)]
Model = TypeVar("Model", bound=BaseModel)


class BadInput(ValueError):
    """One line naming a key or file, its value and what is allowed."""


class NoSuchKey(BadInput):
    """`key` is none of this place's."""

    def __init__(self, key: str, there: Iterable[str]) -> None:
        super().__init__(f"{key}: no such key; there are {', '.join(sorted(there))}")
        self.key = key


class Strict(BaseModel):
    """Every value is of its key's type, and no key is unknown."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _as_int(cls, value: Any, info: ValidationInfo) -> Any:
        """1e5 is as good as 100000, though YAML makes it a float. Where a float is asked for, it is
        made one again; where anything may stand, it stays what it is."""
        field = cls.model_fields[info.field_name or ""]
        return value if field.annotation is Any else _whole(value)


def _whole(value: Any) -> Any:
    if isinstance(value, list):
        return [_whole(item) for item in value]
    exact = isinstance(value, float) and value.is_integer() and abs(value) <= 2**53
    return int(value) if exact else value


class EvalConfig(Strict):
    every_episodes: Count | None
    every_steps: Count | None
    episodes: Count
    max_steps: Count | None
    final_episodes: Count | None
    envs: Literal["own", "shared"]
    diagnose_every: Count | None = None  # as in a run made before there was this key


class CheckpointConfig(Strict):
    every_seconds: Positive | None


class Command(Strict):
    """Keys that are about this command and not about the run."""

    resume: Annotated[str, Field(min_length=1)] | None
    trust: bool
    objective: Literal["final", "auc", "best"]
    over_seeds: Literal["mean", "iqm", "lower"]


class Config(Strict):
    """A run: its own keys checked; its groups as dicts that `build` turns into parts."""

    seed: Seed | Annotated[list[Seed], MinLen(1)]
    episodes: Count | None
    steps: Count | None
    gamma: Fraction
    n_step: Count
    batch_size: Count
    learning_starts: Count
    update_every: Count
    updates: Count
    reduction: Literal["mean", "sum"]
    grad_clip_value: Positive | None
    grad_clip_norm: Positive | None
    eval: EvalConfig
    checkpoint: CheckpointConfig
    name: Annotated[str, Field(min_length=1)] | None
    report: bool = False  # a run from before there was this key may be resumed
    env: dict[str, Any]
    algo: dict[str, Any]
    buffer: dict[str, Any]
    storage: dict[str, Any] = {"_target_": "dqn_cli.storage.transitions.Transitions"}  # as `report`
    network: dict[str, Any]
    target: dict[str, Any]
    exploration: dict[str, Any]
    optimizer: dict[str, Any]
    device: dict[str, Any]

    @property
    def seeds(self) -> list[int]:
        return [self.seed] if isinstance(self.seed, int) else self.seed


def command(values: dict[str, Any]) -> tuple[Command, dict[str, Any]]:
    """The command's own keys, checked, and the others. BadInput."""
    own = {key: values[key] for key in Command.model_fields if key in values}
    return validate(Command, own, ""), {k: v for k, v in values.items() if k not in own}


def check(values: dict[str, Any]) -> Config:
    """The configuration, or BadInput."""
    config = validate(Config, values, "")
    for group in GROUPS:
        section = dict(getattr(config, group))
        if open_ := [key for key, value in section.items() if value == "???"]:
            raise BadInput(f"{group}.{open_[0]}: it must be given; its file in conf/ says how")
        part = locate(group, section.pop("_target_", None))
        checked = validate(schema(part), section, f"{group}.").model_dump()
        getattr(config, group).update(checked)
    repeated = [seed for seed, times in Counter(config.seeds).items() if times > 1]
    if repeated:
        raise BadInput(f"seed={values['seed']}: {repeated[0]} comes twice")
    if config.episodes is None and config.steps is None:
        raise BadInput("episodes=null steps=null: one of them must be a number")
    capacity = config.buffer.get("capacity", math.inf)  # a buffer of the user's may have none
    if capacity < config.batch_size:
        raise BadInput(f"buffer.capacity={capacity}: less than batch_size={config.batch_size}")
    return config


def refuse_foreign(run: object, values: dict[str, Any], permit: str) -> None:
    """BadInput if a configuration found in a result directory names code that is not this package's
    own; `permit` is what lets it. Which keys can is marked in their types."""
    for group in GROUPS:
        section = values.get(group)
        if not isinstance(section, dict):
            continue
        name = str(section.get("_target_"))
        found = re.fullmatch(rf"dqn_cli\.{group}\.\w+\.\w+", name) and locate(group, name)
        foreign = {}
        if not found or found.__module__ != name.rpartition(".")[0]:
            foreign = {"_target_": name}
        else:
            foreign = {
                key: section[key]
                for key, hint in hints(found).items()
                if section.get(key) is not None
                and any(mark.foreign(section[key]) for mark in code.marks(hint))
            }
        for key, value in foreign.items():
            raise BadInput(
                f"{group}.{key}={value}: {run} would run code from outside dqn_cli; "
                f"{permit} allows it"
            )


def locate(group: str, target: object) -> Any:
    """The class that a `_target_` names."""
    try:
        found = code.attribute(str(target))
    except Exception as error:  # a module of the user's may raise anything
        raise BadInput(f"{group}._target_={target}: {error}") from error
    if not isinstance(found, type):
        raise BadInput(f"{group}._target_={target}: it is not a class")
    return found


def hints(part: Any) -> dict[str, Any]:
    """The types of the part's keys: its keyword-only arguments (`import_` is the key `import`)."""
    try:
        types = get_type_hints(part.__init__, include_extras=True)
    except NameError as error:  # a name that is imported for type checkers only
        raise BadInput(
            f"{part.__module__}.{part.__qualname__}: its annotations: {error}"
        ) from error
    return {parameter.name.rstrip("_"): types.get(parameter.name, Any) for parameter in keys(part)}


def keys(part: Any) -> list[inspect.Parameter]:
    parameters = inspect.signature(part).parameters.values()
    return [each for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY]


def schema(part: Any) -> type[Strict]:
    """A model of the part's keys. One that has a default in the signature may be left out, as by a
    run from before there was this key."""
    defaults = {
        each.name.rstrip("_"): ... if each.default is each.empty else each.default
        for each in keys(part)
    }
    fields: dict[str, Any] = {n: (hint, defaults[n]) for n, hint in hints(part).items()}
    return create_model(part.__name__, __base__=Strict, **fields)


def validate(model: type[Model], values: dict[str, Any], prefix: str) -> Model:
    """The values as a model; BadInput, whose key begins with the prefix."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _told(error, model, prefix) from None


def _told(error: ValidationError, model: type[BaseModel], prefix: str) -> BadInput:
    """The first problem, as `key=value: what is allowed`."""
    first = error.errors()[0]["loc"][0]
    # A union reports once per member: the member of the right type has more to say.
    problem = min(
        (problem for problem in error.errors() if problem["loc"][0] == first),
        key=lambda problem: (str(problem["type"]).endswith("_type"), -len(problem["loc"])),
    )
    # The member's own name ("list[int]") is in the place, but not a part of the key.
    known = problem["type"] != "extra_forbidden"
    place = [p for p in problem["loc"] if isinstance(p, int) or p.isidentifier() or not known]
    key = prefix + ".".join(map(str, place))
    if not known:
        return NoSuchKey(key, model.model_fields)
    if problem["type"] == "missing":
        return BadInput(f"{key}: missing")
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return BadInput(f"{key}={problem['input']}: {message}")
