"""Two states, two actions; an observation is the number of its state.

          online        target
s0     1      2        0.5    4
s1     5      3         10   20
"""

import pytest
import torch
from torch import Tensor

from dqn_cli.algo.dqn import DQN
from dqn_cli.kernels.kernels import Array, Kernels
from dqn_cli.kernels.torch import TORCH
from dqn_cli.maths import by_autograd
from dqn_cli.types import Batch, Forward, Loss, Output

ONLINE = [[1.0, 2.0], [5.0, 3.0]]
TARGET = [[0.5, 4.0], [10.0, 20.0]]


def table(kernels: Kernels, values: Tensor) -> Forward:
    def says(obs: Array) -> Output:
        return Output(kernels.array(values[kernels.tensor(obs)[..., 0].long()].unsqueeze(-1)))

    return says


def judged(kernels: Kernels, algo: DQN, online: Tensor, target: Tensor, batch: Batch) -> Loss:
    """What the algorithm says with these tables for networks; tensors, whatever its kernels."""
    given = Batch(*map(kernels.array, batch))
    networks = table(kernels, online), table(kernels, target)
    return Loss(*map(kernels.tensor, algo.loss(networks[0](given.obs), *networks, given)))


def one(
    obs: float = 0, action: int = 1, reward: float = 1, next_obs: float = 1, discount: float = 0.9
) -> Batch:
    """One transition [1, 1]; from s0 by action 1 to s1."""
    index, weight = torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1)
    numbers = (torch.tensor([[x]]) for x in ([obs], action, reward, [next_obs], discount))
    o, a, r, n, d = numbers
    return Batch(o.float(), a, r.float(), n.float(), d.float(), weight, index)


@pytest.mark.parametrize(
    ("loss", "double", "per_sample", "priority"),
    [
        # y = 1 + 0.9 * max(10, 20) = 19; Q(s0, 1) = 2; error 17: 17^2, and 17 - 0.5
        ("mse", False, 289.0, 17.0),
        ("huber", False, 16.5, 17.0),
        # online prefers action 0 in s1 (5 > 3), target says it is worth 10:
        # y = 1 + 0.9 * 10 = 10; error 8: 8^2, and 8 - 0.5
        ("mse", True, 64.0, 8.0),
        ("huber", True, 7.5, 8.0),
    ],
)
def test_dqn_and_double_dqn_differ_on_the_two_state_mdp(
    kernels: Kernels, loss: str, double: bool, per_sample: float, priority: float
) -> None:
    algo = DQN(kernels, loss=loss, double=double)
    got = judged(kernels, algo, torch.tensor(ONLINE), torch.tensor(TARGET), one())
    assert got.per_sample.item() == pytest.approx(per_sample)
    assert got.priority.item() == pytest.approx(priority)
    assert got.q.item() == 2.0


def test_double_dqn_mix_up(kernels: Kernels) -> None:
    """Trap: Double DQN that values an action of the present state. All four ways to mix up
    differ from the right y = 1 + 0.9 * target(s1)[argmax online(s1)] = 10."""
    asked: list[tuple[str, float]] = []

    def spy(name: str, values: list[list[float]]) -> Forward:
        def q(obs: Array) -> Output:
            asked.append((name, obs.item()))
            return table(kernels, torch.tensor(values))(obs)

        return q

    batch = Batch(*map(kernels.array, one()))
    now = table(kernels, torch.tensor(ONLINE))(batch.obs)
    networks = spy("online", ONLINE), spy("target", TARGET)
    loss = DQN(kernels, loss="mse", double=True).loss(now, *networks, batch)
    assert (loss.q + loss.priority).item() == pytest.approx(10.0)
    assert sorted(asked) == [("online", 1.0), ("target", 1.0)]
    asked.clear()
    loss = DQN(kernels, loss="mse", double=False).loss(now, *networks, batch)
    assert (loss.q + loss.priority).item() == pytest.approx(19.0)
    assert asked == [("target", 1.0)]  # and no forward whose result nobody needs


@pytest.mark.parametrize("double", [False, True])
def test_truncation_is_not_termination(kernels: Kernels, double: bool) -> None:
    """Trap. The stored discount says it all: 0 cuts the bootstrap, gamma (also where a time limit
    struck) leaves it."""
    algo = DQN(kernels, loss="mse", double=double)
    q = torch.tensor(ONLINE), torch.tensor(TARGET)
    # terminated: y = -1.5, Q = 2, error -3.5
    assert judged(
        kernels, algo, *q, one(reward=-1.5, discount=0.0)
    ).priority.item() == pytest.approx(3.5)
    # gone on: y = -1.5 + 0.5 * 20 = 8.5 (Double: 10 -> 3.5), error 6.5 (1.5)
    went_on = judged(kernels, algo, *q, one(reward=-1.5, discount=0.5)).priority.item()
    assert went_on == pytest.approx(1.5 if double else 6.5)


def test_priority_is_the_absolute_error_not_its_square(kernels: Kernels) -> None:
    """Trap. Both signs: y = 19 and Q = 2 above; here y = -1.5 and Q = 2."""
    q = torch.tensor(ONLINE), torch.tensor(TARGET)
    for loss in ("mse", "huber"):
        got = judged(
            kernels, DQN(kernels, loss=loss, double=False), *q, one(reward=-1.5, discount=0.0)
        )
        assert got.priority.item() == pytest.approx(3.5)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize(
    ("loss", "slope"),
    [("mse", {False: -34.0, True: -16.0}), ("huber", {False: -1.0, True: -1.0})],
)
def test_gradient_flows_through_the_action_taken_alone(
    kernels: Kernels, loss: str, slope: dict[bool, float], double: bool
) -> None:
    """d loss / d Q(s0, 1) = -2 * error (mse) or -1 (huber, error > 1); everything else is 0."""
    algo = DQN(kernels, loss=loss, double=double)
    got = judged(kernels, algo, torch.tensor(ONLINE), torch.tensor(TARGET), one())
    torch.testing.assert_close(got.d_values, torch.tensor([[[[0.0], [slope[double]]]]]))


def drawn() -> tuple[Tensor, Tensor, Batch]:
    """Two tables of 4 states and 3 actions, and transitions [S, B] with errors on both sides of
    1."""
    draw = torch.Generator().manual_seed(0)
    S, B = 2, 5
    online, target = torch.randn(2, 4, 3, generator=draw)
    many = Batch(
        obs=torch.randint(4, (S, B, 1), generator=draw),
        action=torch.randint(3, (S, B), generator=draw),
        reward=torch.randn(S, B, generator=draw),
        next_obs=torch.randint(4, (S, B, 1), generator=draw),
        discount=torch.rand(S, B, generator=draw),
        weight=torch.ones(S, B),
        index=torch.zeros(S, B, dtype=torch.int64),
    )
    return online, target, many


@pytest.mark.parametrize("loss", ["mse", "huber"])
@pytest.mark.parametrize("double", [False, True])
def test_the_derivative_is_that_of_autograd(kernels: Kernels, loss: str, double: bool) -> None:
    """By the values of the samples alone: what the networks say of the next state is given."""
    online, target, batch = drawn()
    got = judged(kernels, DQN(kernels, loss=loss, double=double), online, target, batch)
    assert got.priority.min() < 1 < got.priority.max()
    networks, watched = (table(TORCH, q) for q in (online, target)), DQN(loss=loss, double=double)
    q, following = networks

    def per_sample(values: Tensor) -> Tensor:
        return watched.loss(Output(values), q, following, batch).per_sample

    result, slope = by_autograd(per_sample, q(batch.obs).values)
    torch.testing.assert_close(got.per_sample, result)
    torch.testing.assert_close(got.d_values, slope)


@pytest.mark.parametrize("loss", ["mse", "huber"])
@pytest.mark.parametrize("double", [False, True])
def test_a_sample_s_numbers_are_those_it_has_alone(
    kernels: Kernels, loss: str, double: bool
) -> None:
    """To the bit: in a batch [S, B], in one [1, B] and in one [1, 1]."""
    online, target, many = drawn()
    S, B = many.reward.shape
    algo = DQN(kernels, loss=loss, double=double)
    whole = judged(kernels, algo, online, target, many)
    assert whole.per_sample.shape == whole.priority.shape == whole.q.shape == (S, B)
    assert whole.d_values.shape == (S, B, 3, 1)
    for s in range(S):
        row = Batch(*(x[[s]] for x in many))
        lane = judged(kernels, algo, online, target, row)
        for b in range(B):
            sample = Batch(*(x[:, [b]] for x in row))
            single = judged(kernels, algo, online, target, sample)
            for of_all, of_lane, alone in zip(whole, lane, single, strict=True):
                assert torch.equal(of_all[s, b], of_lane[0, b])
                assert torch.equal(of_lane[0, b], alone[0, 0])


def test_the_one_number_of_an_action_is_its_q_value(kernels: Kernels) -> None:
    algo = DQN(kernels, loss="mse", double=False)
    assert algo.atoms == 1
    assert algo.q(kernels.array(torch.tensor([[[[1.0], [5.0]]]]))).tolist() == [[[1.0, 5.0]]]
