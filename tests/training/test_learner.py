"""The learner between stand-ins that keep a record, and against plain PyTorch loops."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import huber_loss, mse_loss

from dqn_cli.algo.dqn import DQN
from dqn_cli.buffer.per import Prioritized
from dqn_cli.network.dueling import Dueling
from dqn_cli.network.mlp import MLP
from dqn_cli.optimizer.adam import Adam
from dqn_cli.seeding import Stream
from dqn_cli.state import State, stack
from dqn_cli.target.hard import Hard
from dqn_cli.target.none import NoTarget
from dqn_cli.target.polyak import Polyak
from dqn_cli.training.learner import Learner
from dqn_cli.training.policy import Greedy
from dqn_cli.types import Batch, Inputs, Noise, Output, Pullback, Step, Target, Weights


class Given:
    """A replay that hands out the given batches, one after another, and notes what it is told."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.batches = batches
        self.sampled: list[int] = []  # at which env steps
        self.told: list[tuple[Any, Tensor]] = []

    def sample(self, step: int) -> Batch:
        self.sampled.append(step)
        return self.batches[(len(self.sampled) - 1) % len(self.batches)]

    def update(self, index: Any, priority: Tensor) -> None:
        self.told.append((index, priority))

    def keep(self, lanes: list[int]) -> None:
        parts = [[field[lanes] for field in batch] for batch in self.batches]
        self.batches = [Batch(*part) for part in parts]

    def state(self, lane: int) -> State:
        return {}

    def load(
        self, seeds: Sequence[int], state: State, step: int, updates: int, rows: Sequence[None]
    ) -> None:
        """It has no state."""


class SGD:
    """The plain gradient: unlike RMSprop and Adam it does not hide a wrong scale."""

    def __init__(self, lr: float) -> None:
        self.lr = lr

    def step(self, params: Tensor, grad: Tensor, step: int) -> None:
        params -= self.lr * grad

    def keep(self, lanes: Sequence[int]) -> None:
        """It has no state."""

    def state(self, lane: int) -> State:
        return {}

    def load(self, lanes: int, state: State, updates: int) -> None:
        """It has no state."""


def batch_of(**fields: Any) -> Batch:
    """Of one lane unless given [S, B]; observations are zero, so Q is the bias."""
    reward = torch.tensor(fields["reward"])
    shape = reward.shape
    values = {
        "obs": torch.zeros(*shape, 2),
        "action": torch.zeros(shape, dtype=torch.int64),
        "next_obs": torch.zeros(*shape, 2),
        "discount": torch.zeros(shape),
        "weight": torch.ones(shape),
        "index": np.arange(reward.numel()).reshape(shape),
    }
    return Batch(**values | {k: torch.tensor(v) for k, v in fields.items()})


@pytest.fixture
def learner(space) -> Callable[..., Learner]:
    """learner(batch, ...): a linear network, all zeros, of as many lanes as the batch has."""

    def make(batch: Batch, loss: str = "mse", **keys: Any) -> Learner:
        net = MLP(space(2, 3), 1, hidden=[], activation="relu")
        lanes = len(batch.reward)
        parts = {
            "seeds": range(lanes),
            "online": torch.zeros_like(net.init(range(lanes))),
            "network": net,
            "algo": DQN(loss=loss, double=False),
            "replay": Given([batch]),
            "optimizer": SGD(0.1),
            "target": Hard(every_steps=10**6),
        }
        when = {
            "batch_size": batch.reward.shape[1],
            "learning_starts": 0,
            "update_every": 1,
            "updates": 1,
        }
        how = {"reduction": "mean", "grad_clip_value": None, "grad_clip_norm": None}
        return Learner(**parts | when | how | keys)

    return make


def bias(learner: Learner, lane: int = 0) -> list[float]:
    """What an all-zero observation is worth to the online network."""
    return learner.network.named(learner.online[lane])["q.bias"].tolist()


# One update by hand. Q = 0, rewards 2 and 4 and discount 0 make errors of 2 and 4.


@pytest.mark.parametrize(
    ("loss", "weight", "expected"),
    [
        ("mse", [1.0, 1.0], 10.0),  # (4 + 16) / 2
        ("mse", [0.5, 0.25], 3.0),  # (0.5 * 4 + 0.25 * 16) / 2; inside the square: 1
        ("huber", [1.0, 1.0], 2.5),  # (1.5 + 3.5) / 2
        ("huber", [0.5, 0.25], 0.8125),  # (0.5 * 1.5 + 0.25 * 3.5) / 2
    ],
)
def test_weight_inside_the_square(learner, loss: str, weight: list[float], expected: float) -> None:
    """Traps: weights that are squared, or that one of the losses forgets."""
    one = learner(batch_of(reward=[[2.0, 4.0]], weight=[weight]), loss)
    one.learn(1)
    assert one.report(0) == (pytest.approx(expected), 0.0)


@pytest.mark.parametrize(
    ("loss", "expected"),
    # -d/db of the mean: mse (0.5 * 2 * 2 + 0.25 * 2 * 4) / 2 = 2, huber (0.5 + 0.25) / 2 = 0.375
    [("mse", 0.1 * 2.0), ("huber", 0.1 * 0.375)],
)
def test_is_weights_unused(learner, loss: str, expected: float) -> None:
    """Trap: weights that do not reach the gradient, under Huber above all."""
    one = learner(batch_of(reward=[[2.0, 4.0]], weight=[[0.5, 0.25]]), loss)
    one.learn(1)
    assert bias(one) == pytest.approx([expected, 0.0, 0.0])


def test_the_loss_is_a_mean_in_a_lane_and_a_sum_over_lanes(learner) -> None:
    """Each lane steps as if alone: by 0.1 * 2 * its mean error of 3 and 30."""
    two = learner(batch_of(reward=[[2.0, 4.0], [20.0, 40.0]]))
    two.learn(1)
    assert bias(two, 0)[0] == pytest.approx(0.6)
    assert bias(two, 1)[0] == pytest.approx(6.0)


def test_a_sum_is_as_many_times_the_mean_as_the_batch_has_rows(learner) -> None:
    """Errors of 2 and 4: the loss is 4 + 16, its slope 2 * 2 + 2 * 4."""
    one = learner(batch_of(reward=[[2.0, 4.0]]), reduction="sum")
    one.learn(1)
    assert bias(one)[0] == pytest.approx(0.1 * 12)
    assert one.report(0)[0] == pytest.approx(20.0)


def test_elements_are_clipped_each_for_itself(learner) -> None:
    """Two actions with errors 0.1 and 100: gradients of the mean 0.1 and 100, clipped at 1."""
    one = learner(batch_of(reward=[[0.1, 100.0]], action=[[0, 1]]), grad_clip_value=1.0)
    one.learn(1)
    assert bias(one) == pytest.approx([0.1 * 0.1, 0.1 * 1.0, 0.0])


def test_no_target_is_the_network_of_the_last_update(learner) -> None:
    """Reward 1, discount 1, rate 0.1, two updates in one env step, Q of every state the bias.
    b = 0: y = 1, b = 0.2. Then y = 1.2 and the error 1 again: b = 0.4; a target that waits for the
    end of the step says y = 1: b = 0.36."""
    batch = batch_of(reward=[[1.0]], discount=[[1.0]])
    one = learner(batch, target=NoTarget(), updates=2)
    one.learn(1)
    assert bias(one)[0] == pytest.approx(0.4)
    waits = learner(batch, target=Hard(every_steps=1), updates=2)
    waits.learn(1)
    assert bias(waits)[0] == pytest.approx(0.36)


def test_clipping_is_of_each_lane(learner) -> None:
    """Errors of 0.1 and 100: gradients 0.2 and 200, of which the second alone is above 1."""
    two = learner(batch_of(reward=[[0.1], [100.0]]), grad_clip_norm=1.0)
    two.learn(1)
    assert bias(two, 0)[0] == pytest.approx(0.1 * 0.2)
    assert bias(two, 1)[0] == pytest.approx(0.1 * 1.0, rel=1e-5)


def test_priority_is_the_absolute_error_from_before_the_step(learner) -> None:
    """Trap: the square. Without weight, too, and for the rows that were drawn."""
    batch = batch_of(reward=[[2.0, -4.0]], weight=[[0.5, 0.25]])
    one = learner(batch)
    one.learn(1)
    ((index, priority),) = one.replay.told
    assert index is batch.index
    assert priority.tolist() == [[2.0, 4.0]]
    assert not priority.requires_grad


def test_a_lane_that_diverges_harms_no_other(learner) -> None:
    rewards = [[1.0, 2.0], [float("nan"), 1.0], [float("inf"), 1e38]]
    many = learner(batch_of(reward=rewards), grad_clip_norm=1.0)
    alone = learner(batch_of(reward=rewards[:1]), grad_clip_norm=1.0)
    with np.errstate(invalid="ignore", over="ignore"):  # as a run's device sets it
        for step in (1, 2):
            many.learn(step)
            alone.learn(step)
    assert torch.equal(many.online[0], alone.online[0])
    assert many.report(0) == alone.report(0)


# Many updates against PyTorch


@pytest.mark.parametrize("loss", ["mse", "huber"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    ("clip_value", "clip"), [(None, None), (None, 0.3), (0.05, None), (0.1, 0.3)]
)
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("target", [Hard(every_steps=2), NoTarget()])
def test_twelve_updates_equal_a_plain_pytorch_loop(
    space,
    loss: str,
    reduction: str,
    clip_value: float | None,
    clip: float | None,
    double: bool,
    target: Target,
) -> None:
    """Two lanes of 3-5-4 networks, two updates per env step, the target copied every 2 steps or
    none at all."""
    draw = torch.Generator().manual_seed(0)
    S, B, per_step = 2, 6, 2

    def batch() -> Batch:
        return Batch(
            obs=torch.randn(S, B, 3, generator=draw),
            action=torch.randint(4, (S, B), generator=draw),
            reward=3 * torch.randn(S, B, generator=draw),
            next_obs=torch.randn(S, B, 3, generator=draw),
            discount=0.9 * (torch.rand(S, B, generator=draw) > 0.3),
            weight=torch.rand(S, B, generator=draw),
            index=np.zeros((S, B), np.int64),
        )

    batches = [batch() for _ in range(12)]
    net = MLP(space(3, 4), 1, hidden=[5], activation="relu")
    params = net.init([0, 1])
    ours = Learner(
        [0, 1],
        params.clone(),
        net,
        DQN(loss=loss, double=double),
        Given(batches),
        SGD(0.1),
        target,
        batch_size=B,
        learning_starts=1,
        update_every=1,
        updates=per_step,
        reduction=reduction,
        grad_clip_value=clip_value,
        grad_clip_norm=clip,
    )
    for step in range(1, 7):
        ours.learn(step)

    criterion = {"mse": mse_loss, "huber": huber_loss}[loss]
    for lane in range(S):
        q, behind = (nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4)) for _ in "qt")
        with torch.no_grad():
            for copy in (q, behind):
                named = zip(copy.parameters(), net.named(params[lane]).values(), strict=True)
                for parameter, value in named:
                    parameter.copy_(value)
        optimizer = torch.optim.SGD(q.parameters(), 0.1)
        losses = []
        for number, b in enumerate(batches, start=1):
            with torch.no_grad():
                valued = behind if isinstance(target, Hard) else q
                chooser = q if double else valued
                best = chooser(b.next_obs[lane]).argmax(1, keepdim=True)
                value = valued(b.next_obs[lane]).gather(1, best)[:, 0]
                y = b.reward[lane] + b.discount[lane] * value
            taken = q(b.obs[lane]).gather(1, b.action[lane][:, None])[:, 0]
            weighted = b.weight[lane] * criterion(taken, y, reduction="none")
            total = weighted.mean() if reduction == "mean" else weighted.sum()
            optimizer.zero_grad()
            total.backward()
            if clip_value is not None:
                nn.utils.clip_grad_value_(q.parameters(), clip_value)
            if clip is not None:
                nn.utils.clip_grad_norm_(q.parameters(), clip)
            optimizer.step()
            losses.append(total.item())
            if number % (2 * per_step) == 0 and isinstance(target, Hard):
                behind.load_state_dict(q.state_dict())
        for network, params_after in ((q, ours.online), (behind, ours.target_params)):
            named = net.named(params_after[lane])
            for parameter, value in zip(network.parameters(), named.values(), strict=True):
                torch.testing.assert_close(value, parameter.detach(), rtol=1e-4, atol=1e-5)
        assert ours.report(lane)[0] == pytest.approx(np.mean(losses), rel=1e-4)


# When


@pytest.mark.parametrize(
    ("starts", "every", "updates", "expected"),
    [
        (0, 1, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (4, 3, 2, [6, 6, 9, 9]),
        (6, 3, 1, [6, 9]),
        (7, 1, 1, [7, 8, 9, 10]),
        (11, 1, 1, []),
    ],
)
def test_updates_are_counted_in_env_steps(
    learner, starts: int, every: int, updates: int, expected: list[int]
) -> None:
    keys = {"learning_starts": starts, "update_every": every, "updates": updates}
    one = learner(batch_of(reward=[[1.0]]), **keys)
    for step in range(1, 11):
        one.learn(step)
    assert one.replay.sampled == expected


def test_target_update_unit(learner) -> None:
    """Trap: a period in updates. Once after the updates of every env step, updates or none,
    the target room is asked, with what the step left behind."""
    asked = []

    class Spy(NoTarget):
        def sync(self, online: Tensor, target: Tensor, step: int) -> None:
            asked.append(
                (step, len(one.replay.sampled), online is one.online, target is one.target_params)
            )

    one = learner(batch_of(reward=[[1.0]]), target=Spy(), update_every=2, updates=3)
    for step in range(1, 6):
        one.learn(step)
    assert asked == [(1, 0, True, True), *((s, 3 * (s // 2), True, True) for s in range(2, 6))]


def test_the_target_network_begins_as_a_copy_and_follows_when_told(learner) -> None:
    one = learner(batch_of(reward=[[1.0]]), target=Hard(every_steps=2))
    one.learn(1)
    assert not one.target_params.any()
    assert one.online.any()
    one.learn(2)
    assert torch.equal(one.target_params, one.online)
    one.learn(3)
    assert not torch.equal(one.target_params, one.online)


# What is told


def test_report_is_a_mean_since_the_last_report_of_this_lane(learner) -> None:
    """Two lanes, rewards 2 and 4: losses 4 and 16 while nothing is learned (lr 0). Q is 0."""
    two = learner(batch_of(reward=[[2.0], [4.0]]), optimizer=SGD(0.0))
    assert two.report(0) == (None, None)
    two.learn(1)
    two.learn(2)
    assert two.report(0) == (4.0, 0.0)
    assert two.report(0) == (None, None)
    two.learn(3)
    assert two.report(0) == (4.0, 0.0)
    assert two.report(1) == (16.0, 0.0)


def test_report_tells_the_q_of_the_actions_taken(learner) -> None:
    """The bias of action 0 after steps of 0.1 * 2 * error: 0, then 0.2 * 2 = 0.4, then
    0.4 + 0.2 * 1.6 = 0.72. A mean of 0, 0.4, 0.72; losses 4, 2.56, 1.6384."""
    one = learner(batch_of(reward=[[2.0, 2.0]]))
    for step in (1, 2, 3):
        one.learn(step)
    loss, q = one.report(0)
    assert q == pytest.approx((0 + 0.4 + 0.72) / 3)
    assert loss == pytest.approx((4 + 2.56 + 1.6384) / 3)


@pytest.mark.parametrize(("reduction", "expected"), [("mean", 4.25), ("sum", 17.0)])
def test_under_per_the_loss_is_weighted_and_q_is_not(
    learner, replay, reduction: str, expected: float
) -> None:
    """Q of actions 0 and 1 is 1 and 3, the rewards of rows 0 and 1 are 2 and 7: losses 1 and 16.
    Priorities 1 and 3 over four equal shares draw row 0 once and row 1 three times; P is 1/4 and
    3/4, so their weights at beta 1 are 1 and 1/3.
    loss: (1 * 1 + 3 * 1/3 * 16) / 4 = 4.25, the sum 17; without weights (1 + 3 * 16) / 4 = 12.25
    q: (1 + 3 * 3) / 4 = 2.5; with weights (1 + 3 * 1/3 * 3) / 4 = 1, over their sum (of 2) 2"""
    keys: dict[str, Any] = {"capacity": 5, "alpha": 1.0, "epsilon": 1e-12, "normalize": "batch"}
    keys |= {"beta": 1.0, "beta_end": 1.0, "beta_steps": 1}
    buffer = replay(Prioritized([0], 4, **keys), 1)
    for action, reward in enumerate((2.0, 7.0)):
        nothing, end, cut = np.zeros((1, 2), np.float32), np.array([True]), np.array([False])
        buffer.add(Step(nothing, np.array([action]), np.array([reward]), nothing, end, cut))
    buffer.update(torch.tensor([[0, 1]]), torch.tensor([[1.0, 3.0]]))
    shape = batch_of(reward=[[0.0] * 4])
    one = learner(shape, replay=buffer, reduction=reduction, optimizer=SGD(0.0))
    values = one.network.named(one.online[0]) | {"q.bias": torch.tensor([1.0, 3.0, 0.0])}
    one.online.copy_(one.network.flat(values)[None])
    one.learn(1)
    assert one.report(0) == (pytest.approx(expected), pytest.approx(2.5))


# Noise


class Noisy(MLP):
    """It asks for two normal numbers a row, and keeps what it is given."""

    given: list[tuple[str, Tensor | None]]

    def noise(self, rows: int) -> Noise:
        return Noise((rows, 2), normal=True)

    def forward(self, weights: Weights, inputs: Inputs) -> Output:
        self.given.append(("forward", inputs.noise))
        return super().vjp(weights, inputs)[0]

    def vjp(self, weights: Weights, inputs: Inputs) -> tuple[Output, Pullback]:
        self.given.append(("vjp", inputs.noise))
        return super().vjp(weights, inputs)


@pytest.fixture
def noisy(learner, space) -> Callable[..., Learner]:
    """noisy([7, 3]): Double DQN, three forwards in each of two updates per env step."""

    def make(seeds: list[int], kind: type[Noisy] = Noisy) -> Learner:
        net = kind(space(2, 3), 1, hidden=[], activation="relu")
        net.given = []
        batch = batch_of(reward=[[2.0, 4.0]] * len(seeds))
        algo = DQN(loss="mse", double=True)
        return learner(batch, seeds=seeds, network=net, algo=algo, updates=2)

    return make


def noise_of(seeds: list[int], *ticks: int) -> list[Any]:
    stream = Stream.of(Noise((2, 2), normal=True), seeds, "noise.learn")
    return [stream.at(tick).astype(np.float32).tolist() for tick in ticks]


def given_to(one: Learner) -> list[Any]:
    """The noise that its network was given since it was last asked."""
    given = [noise.tolist() for _, noise in one.network.given]
    one.network.given.clear()
    return given


def test_every_forward_of_every_update_has_noise_of_its_own(noisy) -> None:
    """Trap: one draw for the online and the target network. Update u has those from 4 u on."""
    two = noisy([7, 3])
    two.learn(1)
    two.learn(2)
    assert [kind for kind, _ in two.network.given] == ["vjp", "forward", "forward"] * 4
    assert given_to(two) == noise_of([7, 3], 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14)


def test_noise_goes_on_for_lanes_that_stay_and_for_those_taken_up(noisy) -> None:
    two, other = noisy([7, 3]), noisy([5])
    two.learn(1)
    given_to(two)
    other.load([3, 7], stack([two.state(1), two.state(0)]), 1, [None, None])
    other.replay.keep([0, 0])
    two.keep([1])
    for one, seeds in ((two, [3]), (other, [3, 7])):
        one.learn(2)
        assert given_to(one) == noise_of(seeds, 8, 9, 10, 12, 13, 14)


def test_a_network_that_asks_for_no_noise_is_given_none(noisy) -> None:
    class Silent(Noisy):
        def noise(self, rows: int) -> None:
            return None

    one = noisy([7], Silent)
    one.learn(1)
    assert [noise for _, noise in one.network.given] == [None] * 6


# Lanes


def test_a_lane_is_the_same_bits_in_company_and_after_others_left(space, replay, kernels) -> None:
    """Everything real and awkward: PER, dueling, Double, Adam, clip, Huber, Polyak, odd sizes."""

    def learner(seeds: list[int]) -> Learner:
        shape: dict[str, Any] = {"hidden": [33], "streams": [17], "activation": "relu"}
        net = Dueling(
            space(3, 3), 1, kernels, convolutions=[], **shape, aggregate="mean", trunk_gradient=1.0
        )
        online = kernels.place(net.init(seeds).numpy())
        adam = {"lr": 1e-2, "lr_end": 1e-2, "lr_steps": 1, "beta1": 0.9, "beta2": 0.999}
        keys: dict[str, Any] = {"capacity": 37, "alpha": 0.6, "epsilon": 1e-6, "normalize": "batch"}
        keys |= {"beta": 0.4, "beta_end": 1.0, "beta_steps": 30}
        return Learner(
            seeds,
            online,
            net,
            DQN(kernels, loss="huber", double=True),
            replay(Prioritized(seeds, 9, kernels, **keys), len(seeds), 3, 3),
            Adam(online, kernels, **adam, eps=1e-8),
            Polyak(kernels, tau=0.05, every_steps=1),
            kernels,
            batch_size=9,
            learning_starts=5,
            update_every=1,
            updates=1,
            reduction="mean",
            grad_clip_value=0.4,
            grad_clip_norm=0.5,
        )

    def step(seeds: list[int], number: int) -> Step:
        draws = [np.random.default_rng([seed, number]) for seed in seeds]
        obs = [draw.standard_normal((2, 3)).astype(np.float32) for draw in draws]
        return Step(
            np.stack([pair[0] for pair in obs]),
            np.array([draw.integers(3) for draw in draws]),
            np.array([draw.standard_normal() for draw in draws]),
            np.stack([pair[1] for pair in obs]),
            np.array([draw.random() < 0.2 for draw in draws]),
            np.array([draw.random() < 0.1 for draw in draws]),
        )

    company, seeds = learner([4, 5, 6]), [4, 5, 6]
    alone = {seed: learner([seed]) for seed in seeds}
    for number in range(1, 51):
        if number == 30:
            company.keep([2, 0])
            seeds = [6, 4]
        company.replay.add(step(seeds, number))
        company.learn(number)
        for seed in seeds:
            alone[seed].replay.add(step([seed], number))
            alone[seed].learn(number)
    assert company.online.shape[0] == 2
    for lane, seed in enumerate(seeds):
        for array in ("online", "target_params"):
            ours, theirs = (kernels.numpy(getattr(one, array)) for one in (company, alone[seed]))
            assert np.array_equal(ours[lane], theirs[0])
        q, solo = (
            Greedy(one.network, one.algo, kernels).q(
                one.weights, np.ones((len(one.online), 1, 3), np.float32)
            )
            for one in (company, alone[seed])
        )
        assert np.array_equal(q[lane], solo[0])
        assert company.report(lane) == alone[seed].report(0)
