import numpy as np
import torch

from dqn_cli.kernels.kernels import Kernels
from dqn_cli.target.hard import Hard


def test_the_target_is_a_copy_every_so_many_env_steps() -> None:
    """Trap: a period in updates or episodes. Online is the env step it was made at."""
    hard, target, seen = Hard(every_steps=3), torch.zeros(2, 16), []
    for step in range(1, 8):
        hard.sync(torch.full((2, 16), float(step)), target, step)
        seen.append(target[0, 0].item())
        assert (target == target[0, 0]).all()
    assert seen == [0, 0, 3, 3, 3, 6, 6]


def test_the_copy_goes_from_online_to_target_and_is_one() -> None:
    online, target = torch.full((1, 16), 4.0), torch.zeros(1, 16)
    Hard(every_steps=1).sync(online, target, 1)
    assert (online == 4).all()
    assert (target == 4).all()
    online.zero_()
    assert (target == 4).all()


def test_it_copies_either_kind_of_arrays(kernels: Kernels) -> None:
    online, target = (kernels.place(np.full((2, 3), x, np.float32)) for x in (4, 0))
    Hard(every_steps=1).sync(online, target, 1)
    assert target.tolist() == [[4.0] * 3] * 2


def test_the_next_state_is_valued_by_the_target_network() -> None:
    online, target = torch.ones(1, 16), torch.zeros(1, 16)
    assert Hard(every_steps=3).choose(online, target) is target
