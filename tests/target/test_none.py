import torch

from dqn_cli.target.none import NoTarget


def test_the_next_state_is_valued_by_the_online_network_itself() -> None:
    online, target = torch.ones(1, 16), torch.zeros(1, 16)
    chosen = NoTarget().choose(online, target)
    online += 1  # an update, in place
    assert (chosen == 2).all()


def test_nothing_follows() -> None:
    target = torch.zeros(1, 16)
    NoTarget().sync(torch.ones(1, 16), target, 1)
    assert (target == 0).all()
