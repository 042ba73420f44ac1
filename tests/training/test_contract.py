"""Parts of a user's that break their contract: one line, exit code 2, nothing left behind."""

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from dqn_cli.algo.dqn import DQN
from dqn_cli.algo.qr import QR
from dqn_cli.buffer.uniform import Uniform
from dqn_cli.config import BadInput
from dqn_cli.exploration.constant import Constant
from dqn_cli.network.implicit import Implicit
from dqn_cli.network.mlp import MLP
from dqn_cli.optimizer.adam import Adam
from dqn_cli.target.hard import Hard
from dqn_cli.training import build
from dqn_cli.types import Output


class Gone:
    """An attribute that is not there, though the base has it."""

    def __get__(self, *_):
        raise AttributeError


class NoQ(DQN):
    q = Gone()


class NoNoise(MLP):
    noise = Gone()


class NoDraw(Uniform):
    draw = update = Gone()


class NoSync(Hard):
    sync = Gone()


class NoState(Adam):
    state = Gone()


class DrawsFloats(Uniform):
    def draw(self, rows, step):
        index, weight = super().draw(rows, step)
        return index.astype(float), weight


class DrawsAll(Uniform):
    """Whatever replay holds."""

    def draw(self, rows, step):
        index, weight = super().draw(self.capacity, step)
        return index.clip(rows), weight


class DrawsTooFew(Uniform):
    def draw(self, rows, step):
        index, weight = super().draw(rows, step)
        return index, weight[:, 1:]


class DrawsPositions(Uniform):
    def draw(self, rows, step):
        return super().draw(rows, step)[0]


class WeighsByNothing(Uniform):
    def draw(self, rows, step):
        index, weight = super().draw(rows, step)
        return index, weight * np.float32(np.nan)


class UpdateRaises(Uniform):
    def update(self, index, priority):
        raise IndexError("priority")


class SavesNumbers(Uniform):
    def state(self, lane):
        return {"lane": lane}


class LoadRefuses(Uniform):
    def load(self, seeds, state, step, updates):
        raise ValueError("not of such a sampler")


class StepRaises(Adam):
    def step(self, params, grad, step):
        raise ArithmeticError


class SavesNothing(Adam):
    def state(self, lane):
        return None


class MixesForChoice(Hard):
    def choose(self, online, target):
        return (online + target) / 2


class SyncRaises(Hard):
    def sync(self, online, target, step):
        raise TypeError("sync")


class LossOfOneNumber(DQN):
    def loss(self, *arguments):
        loss = super().loss(*arguments)
        return loss._replace(per_sample=loss.per_sample.mean())


class LossInDoubles(DQN):
    def loss(self, *arguments):
        loss = super().loss(*arguments)
        return loss._replace(d_values=loss.d_values.double())


class LossOfAction(DQN):
    def loss(self, *arguments):
        loss = super().loss(*arguments)
        return loss._replace(d_values=loss.d_values[..., 0])


class LossAsTuple(DQN):
    def loss(self, *arguments):
        return tuple(super().loss(*arguments))


class LossRaises(DQN):
    def loss(self, now, online, target, batch):
        raise KeyError("two\nlines")


class QOfAtoms(DQN):
    def q(self, values):
        return values


class PriorityAsArray(DQN):
    def loss(self, *arguments):
        loss = super().loss(*arguments)
        return loss._replace(priority=loss.priority.numpy())


class Flat(MLP):
    """[S, N, A]: values of an older contract."""

    def vjp(self, weights, inputs):
        output, pullback = super().vjp(weights, inputs)
        return Output(output.values.squeeze(-1)), pullback


class OnlyForward(MLP):
    """Right in vjp, and [S, N, A] in forward."""

    def forward(self, weights, inputs):
        return Output(super().forward(weights, inputs).values.squeeze(-1))


class ValuesAlone(MLP):
    def vjp(self, weights, inputs):
        output, pullback = super().vjp(weights, inputs)
        return output.values, pullback


class NoPullback(MLP):
    def vjp(self, weights, inputs):
        return super().vjp(weights, inputs)[0]


class OneAtom(MLP):
    def __init__(self, space, *, hidden: list[int], activation: str, init: str):
        super().__init__(space, 1, hidden=hidden, activation=activation, init=init)


class Floats(Constant):
    def act(self, *arguments):
        return super().act(*arguments).astype(float)


class ActionTooMany(Constant):
    def act(self, q, actions, uniform, step, episode):
        return np.full(len(uniform), actions)


class OneForAll(Constant):
    def act(self, *arguments):
        return int(super().act(*arguments)[0])


class EpsilonOfAnotherShape(Constant):
    def epsilon(self, step, episode):
        return np.zeros(5) if step == 0 and len(episode) == 2 else 0.0

    def act(self, q, actions, uniform, step, episode):
        return np.zeros(len(uniform), np.int64)


class EpsilonInWords(Constant):
    def epsilon(self, step, episode):
        return "little"

    def act(self, q, actions, uniform, step, episode):
        return np.zeros(len(uniform), np.int64)


class EpsilonAboveOne(Constant):
    def epsilon(self, step, episode):
        return np.float64(1.5)


class PriorityBelowNothing(DQN):
    def loss(self, *arguments):
        found = super().loss(*arguments)
        return found._replace(priority=-found.priority - 1)


class FourOthers(DQN):
    def loss(self, now, online, target, batch):
        for _ in range(3):
            online(batch.next_obs)
        return super().loss(now, online, target, batch)


class AsksForMore(Constant):
    def __init__(self, weather, *, start: float):
        super().__init__(start=start)


class AsksTooEarly(DQN):
    """`params` are made after the algorithm."""

    def __init__(self, params, *, double: bool, loss: str):
        super().__init__(double=double, loss=loss)


class EntropyOfStates(DQN):
    def entropy(self, values):
        return values[..., 0, 0]


class DeadInPercent(MLP):
    def dead_units(self, grad):
        return 12.5


class ChancesAlone(Uniform):
    def chances(self, lane, index, step):
        return np.ones(len(index))


class ChancesOfAll(Uniform):
    def chances(self, lane, index, step):
        return np.ones(9), np.ones(9)


LINE = ("seed=[1,2]", "episodes=2", "batch_size=8", "learning_starts=8", "hydra.run.dir=run")
BROKEN = [  # group, class, other arguments, what is said of it
    ("algo", NoQ, (), "has no q; expected all of q, loss, atoms"),
    ("algo", QOfAtoms, (), "q gives float32 [2, 3, 2, 1]; expected float32 [2, 3, 2]"),
    ("algo", LossOfOneNumber, (), "loss gives per_sample float32 []; expected float32 [2, 3]"),
    ("algo", LossInDoubles, (), "loss gives d_values float64 [2, 3, 2, 1]; expected float32"),
    ("algo", LossOfAction, (), "d_values float32 [2, 3, 2]; expected float32 [2, 3, 2, 1]"),
    ("algo", LossAsTuple, (), "loss gives tuple; expected Loss"),
    ("algo", LossRaises, (), "KeyError"),
    ("algo", PriorityAsArray, (), "loss gives priority as ndarray; expected float32 [2, 3]"),
    ("algo", PriorityBelowNothing, (), "loss gives negative priorities; expected numbers from 0"),
    ("algo", FourOthers, ("network=noisy",), "loss computes 4; expected at most 3 forwards"),
    ("algo", AsksTooEarly, (), "asks for 'params'; on offer: batch_size, device, gamma"),
    ("algo", EntropyOfStates, (), "entropy gives float32 [2, 3]; expected float32 [2, 3, 2]"),
    ("network", DeadInPercent, (), "dead_units gives 12.5; expected a share, or None"),
    ("buffer", ChancesAlone, (), "chances gives [1. 1. 1.]; expected (proportions, weights), fl"),
    ("buffer", ChancesOfAll, (), "expected (proportions, weights), float64 [3] of NumPy"),
    ("network", NoNoise, (), "has no noise; expected all of init,"),
    ("network", Flat, (), "vjp gives values float32 [2, 3, 2]; expected float32 [2, 3, 2, any]"),
    ("network", OnlyForward, (), "forward gives values float32 [2, 3, 2]; expected float32"),
    ("network", ValuesAlone, (), "vjp gives Tensor; expected Output"),
    ("network", NoPullback, (), "vjp gives Tensor; expected Output"),
    ("network", OneAtom, ("algo=qr",), "gives 1 value of an action; expected 51, which algo._ta"),
    ("exploration", Floats, (), "act gives [1. 1.]; expected int64 [2], actions from 0 to 1"),
    ("exploration", ActionTooMany, (), "act gives [2 2]; expected int64 [2], actions from 0 to 1"),
    ("exploration", OneForAll, (), "act gives 1; expected int64 [2]"),
    ("exploration", EpsilonOfAnotherShape, (), "epsilon gives"),
    ("exploration", EpsilonAboveOne, (), "epsilon gives 1.5; expected a probability"),
    ("exploration", EpsilonInWords, (), "epsilon gives little; expected"),
    ("exploration", AsksForMore, (), "asks for 'weather'; on offer: atoms, batch_size, device,"),
    ("buffer", NoDraw, (), "has no draw, update; expected all of added, draw, update,"),
    ("buffer", DrawsFloats, (), "draw gives positions float64 [1, 8]; expected int64 [1, 8]"),
    ("buffer", DrawsAll, (), "expected 0 to 2"),
    ("buffer", DrawsTooFew, (), "draw gives weights float32 [1, 7]; expected float32 [1, 8]"),
    ("buffer", DrawsPositions, (), "draw gives ndarray; expected (positions, weights)"),
    ("buffer", WeighsByNothing, (), "draw gives weights below 0, or not finite; expected numbers"),
    ("buffer", UpdateRaises, (), "IndexError: priority"),
    ("buffer", SavesNumbers, (), "state gives {'lane': 0}; expected tensors by name"),
    ("buffer", LoadRefuses, (), "ValueError: not of such a sampler"),
    ("optimizer", StepRaises, (), "ArithmeticError"),
    ("optimizer", SavesNothing, (), "state gives None; expected tensors by name"),
    ("target", MixesForChoice, (), "choose gives something of its own; expected online or target"),
    ("target", SyncRaises, (), "TypeError: sync"),
    ("target", NoSync, (), "has no sync"),
    ("optimizer", NoState, (), "has no state"),
]
CHOICES = {  # which of conf/ says the keys of such a class
    "algo": "dqn",
    "network": "mlp",
    "exploration": "constant",
    "buffer": "uniform",
    "target": "hard",
    "optimizer": "adam",
}


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is defined here can be named as parts.NAME."""
    module = types.ModuleType("parts")
    vars(module).update({k: v for k, v in globals().items() if not k.startswith("_")})
    monkeypatch.setitem(sys.modules, "parts", module)
    yield


def name(part: type) -> str:
    return next(name for name, value in globals().items() if value is part)


@pytest.mark.parametrize(
    ("group", "part", "more", "told"), BROKEN, ids=[f"{row[0]} {name(row[1])}" for row in BROKEN]
)
def test_a_broken_part_is_one_line(compose, group, part, more, told) -> None:
    target = f"{group}._target_=parts.{name(part)}"
    with pytest.raises(BadInput) as refused:
        build.loop(compose(*LINE[:-1], f"{group}={CHOICES[group]}", *more, target))
    assert str(refused.value).startswith(f"{target}: ")
    assert told in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("part", [NoQ, LossRaises, Flat, Floats, AsksForMore, NoDraw])
def test_and_nothing_is_left_of_the_run(dqn_train, tmp_path: Path, part: type) -> None:
    group, _, _, told = next(row for row in BROKEN if row[1] is part)
    target = f"{group}._target_=parts.{name(part)}"
    done = dqn_train(*LINE, f"{group}={CHOICES[group]}", target)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith(f"dqn-train: {target}: ") and told in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("algo=iqn network=mlp", "gives no fractions, which algo._target_=dqn_cli.algo.iqn.IQN"),
        ("algo=iqn network=noisy_dueling", "gives no fractions"),
        ("algo=dqn network=implicit", "gives quantiles at fractions, of which algo._target_="),
        ("algo=qr algo.quantiles=1 network=implicit", "gives quantiles at fractions"),
        (
            "network=cnn",
            "network.convolutions=nature: an observation of 4 numbers is no picture (height x",
        ),
        (
            "network=cnn env=gridworld",
            "network.convolutions=nature: a kernel of 4 x 4 does not fit into 1 x 4, which is what",
        ),
        (
            "network=dueling network.convolutions=[[8,3]]",
            "network.convolutions.0=[8, 3]: list",
        ),
        ("network=cnn network.convolutions=[[8,norm]]", "network.convolutions.0.1=norm: input"),
        ("algo=munchausen_iqn network=noisy", "gives no fractions"),
        ("algo=munchausen network=noisy_implicit", "gives quantiles at fractions, of which"),
        ("network=cnn network.convolutions=atari", "network.convolutions=atari: input should be"),
        ("network=cnn network.convolutions=[[8,3,0]]", "network.convolutions.0.2=0: input should"),
        ("algo=iqn network=minatar env=gridworld", "gives no fractions"),
        ("algo=c51 network=implicit", "network.fractions=32: the algorithm has 51 atoms"),
        ("algo=c51 algo.low=3 algo.high=2", "algo.low=3.0: expected less than high=2.0"),
        ("algo=c51 algo.atoms=1", "algo.atoms=1: input should be greater than or equal to 2"),
        ("algo=qr algo.kappa=0", "algo.kappa=0: input should be greater than 0"),
        ("algo=munchausen algo.l0=0.5", "algo.l0=0.5: input should be less than or equal to 0"),
        ("algo=munchausen algo.tau=0", "algo.tau=0: input should be greater than 0"),
        ("network=noisy network.sigma0=0", "network.sigma0=0: input should be greater than 0"),
        ("network=dueling network.trunk_gradient=0", "network.trunk_gradient=0: input should be"),
        ("exploration=boltzmann exploration.end=0", "exploration.end=0: input should be greater"),
        ("n_step=0", "n_step=0: input should be greater than or equal to 1"),
    ],
)
def test_a_choice_that_does_not_fit_is_one_line(compose, line: str, told: str) -> None:
    with pytest.raises(BadInput) as refused:
        build.loop(compose(*LINE[:-1], *line.split()))
    assert told in str(refused.value) and "\n" not in str(refused.value)


class Plain(DQN):
    """Of a user's own, without atoms of its own to speak of."""

    def __init__(
        self, seeds, space, gamma, batch_size, device, kernels, *, double: bool, loss: str
    ):
        super().__init__(kernels, double=double, loss=loss)
        assert (seeds, space.actions, gamma, batch_size) == ([1, 2], 2, 0.99, 8)
        assert device == torch.device("cpu")


class Quantiles(QR):
    pass


class Fractions(Implicit):
    pass


@pytest.mark.parametrize(
    "line",
    [
        "algo._target_=parts.Plain",
        "algo=qr algo._target_=parts.Quantiles",
        "algo=iqn network._target_=parts.Fractions",
    ],
)
def test_a_part_of_a_user_s_own_that_keeps_its_contract_runs(dqn_train, line: str) -> None:
    small = ("network.hidden=[8]", "eval.episodes=1", "eval.final_episodes=null")
    done = dqn_train(*LINE, *small, *line.split())
    assert (done.code, done.err) == (0, "")
