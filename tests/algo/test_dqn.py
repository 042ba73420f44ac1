"""Two states, two actions; an observation is the number of its state.

          online        target
s0     1      2        0.5    4
s1     5      3         10   20
"""

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from dqn_cli.algo.dqn import DQN, double_q_backup, q_backup
from dqn_cli.maths import by_autograd
from dqn_cli.types import Batch, Forward, Loss, Output

ONLINE = [[1.0, 2.0], [5.0, 3.0]]
TARGET = [[0.5, 4.0], [10.0, 20.0]]


def table(values: Tensor) -> Forward:
    return lambda obs: Output(values[obs[..., 0].long()].unsqueeze(-1))


def judged(algo: DQN, online: Tensor, target: Tensor, batch: Batch) -> Loss:
    """What the algorithm says with these tables for networks."""
    return algo.loss(table(online)(batch.obs), table(online), table(target), batch)


def part(batch: Batch, place: int) -> Batch:
    """What lies at this place of the first axis."""
    return Batch(*(getattr(batch, field.name)[place] for field in fields(Batch)))


def one(
    obs: float = 0, action: int = 1, reward: float = 1, next_obs: float = 1, discount: float = 0.9
) -> Batch:
    """One transition, without leading axes; from s0 by action 1 to s1."""
    unused = torch.empty(0).numpy()
    numbers = (torch.tensor(x) for x in ([obs], action, reward, [next_obs], discount, 1.0))
    return Batch(*numbers, index=unused)


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
    loss: str, double: bool, per_sample: float, priority: float
) -> None:
    algo = DQN(loss=loss, double=double)
    got = judged(algo, torch.tensor(ONLINE), torch.tensor(TARGET), one())
    assert got.per_sample.item() == pytest.approx(per_sample)
    assert got.priority.item() == pytest.approx(priority)
    assert got.q.item() == 2.0


def test_double_dqn_mix_up() -> None:
    """Trap: Double DQN that values an action of the present state. All four ways to mix up
    differ from the right y = 1 + 0.9 * target(s1)[argmax online(s1)] = 10."""
    asked: list[tuple[str, float]] = []

    def spy(name: str, values: list[list[float]]) -> Forward:
        def q(obs: Tensor) -> Output:
            asked.append((name, obs.item()))
            return table(torch.tensor(values))(obs)

        return q

    now = table(torch.tensor(ONLINE))(one().obs)
    networks = spy("online", ONLINE), spy("target", TARGET)
    loss = DQN(loss="mse", double=True).loss(now, *networks, one())
    assert loss.q + loss.priority == pytest.approx(10.0)
    assert sorted(asked) == [("online", 1.0), ("target", 1.0)]
    asked.clear()
    loss = DQN(loss="mse", double=False).loss(now, *networks, one())
    assert loss.q + loss.priority == pytest.approx(19.0)
    assert asked == [("target", 1.0)]  # and no forward whose result nobody needs


@pytest.mark.parametrize("double", [False, True])
def test_truncation_is_not_termination(double: bool) -> None:
    """Trap. The stored discount says it all: 0 cuts the bootstrap, gamma (also where a time limit
    struck) leaves it."""
    algo = DQN(loss="mse", double=double)
    q = torch.tensor(ONLINE), torch.tensor(TARGET)
    # terminated: y = -1.5, Q = 2, error -3.5
    assert judged(algo, *q, one(reward=-1.5, discount=0.0)).priority.item() == pytest.approx(3.5)
    # gone on: y = -1.5 + 0.5 * 20 = 8.5 (Double: 10 -> 3.5), error 6.5 (1.5)
    went_on = judged(algo, *q, one(reward=-1.5, discount=0.5)).priority.item()
    assert went_on == pytest.approx(1.5 if double else 6.5)


def test_priority_is_the_absolute_error_not_its_square() -> None:
    """Trap. Both signs: y = 19 and Q = 2 above; here y = -1.5 and Q = 2."""
    q = torch.tensor(ONLINE), torch.tensor(TARGET)
    for loss in ("mse", "huber"):
        got = judged(DQN(loss=loss, double=False), *q, one(reward=-1.5, discount=0.0))
        assert got.priority.item() == pytest.approx(3.5)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize(
    ("loss", "slope"),
    [("mse", {False: -34.0, True: -16.0}), ("huber", {False: -1.0, True: -1.0})],
)
def test_gradient_flows_through_the_action_taken_alone(
    loss: str, slope: dict[bool, float], double: bool
) -> None:
    """d loss / d Q(s0, 1) = -2 * error (mse) or -1 (huber, error > 1); everything else is 0."""
    algo = DQN(loss=loss, double=double)
    got = judged(algo, torch.tensor(ONLINE), torch.tensor(TARGET), one())
    torch.testing.assert_close(got.d_values, torch.tensor([[0.0], [slope[double]]]))


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
        index=torch.zeros(S, B).long().numpy(),
    )
    return online, target, many


@pytest.mark.parametrize("loss", ["mse", "huber"])
@pytest.mark.parametrize("double", [False, True])
def test_the_derivative_is_that_of_autograd(loss: str, double: bool) -> None:
    """By the values of the samples alone: what the networks say of the next state is given."""
    online, target, batch = drawn()
    algo = DQN(loss=loss, double=double)
    now = table(online)(batch.obs)
    got = algo.loss(now, table(online), table(target), batch)
    assert got.priority.min() < 1 < got.priority.max()

    def per_sample(values: Tensor) -> Tensor:
        return algo.loss(Output(values), table(online), table(target), batch).per_sample

    result, slope = by_autograd(per_sample, now.values)
    assert torch.equal(got.per_sample, result)
    torch.testing.assert_close(got.d_values, slope)


@pytest.mark.parametrize("loss", ["mse", "huber"])
@pytest.mark.parametrize("double", [False, True])
def test_leading_axes_come_free(loss: str, double: bool) -> None:
    """The same numbers with axes [S, B], [B] and none."""
    online, target, many = drawn()
    S, B = many.reward.shape
    algo = DQN(loss=loss, double=double)
    whole = judged(algo, online, target, many)
    assert whole.per_sample.shape == whole.priority.shape == whole.q.shape == (S, B)
    assert whole.d_values.shape == (S, B, 3, 1)
    for s in range(S):
        lane = judged(algo, online, target, part(many, s))
        for b in range(B):
            single = judged(algo, online, target, part(part(many, s), b))
            for of_all, of_lane, alone in zip(whole, lane, single, strict=True):
                assert torch.equal(of_all[s, b], of_lane[b])
                assert torch.equal(of_lane[b], alone)


def test_the_one_number_of_an_action_is_its_q_value() -> None:
    algo = DQN(loss="mse", double=False)
    assert algo.atoms == 1
    assert algo.q(torch.tensor([[[1.0], [5.0]]])).tolist() == [[1.0, 5.0]]


def test_backups_take_any_leading_axes() -> None:
    next_target = torch.tensor([[[10.0, 20.0]]])  # [1, 1, A]
    reward, discount = torch.tensor([[1.0]]), torch.tensor([[0.9]])
    assert q_backup(reward, discount, next_target).tolist() == [[19.0]]
    next_online = torch.tensor([[[5.0, 3.0]]])
    assert double_q_backup(reward, discount, next_target, next_online).tolist() == [[10.0]]
