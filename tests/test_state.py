"""What a part is given back is what it handed out, or a ValueError that names what is wrong."""

import pytest
import torch

from dqn_cli.state import nested, stack, take, within

STATE = {"rows": torch.arange(6.0).view(2, 3), "added": torch.tensor([4, 4])}


def test_a_stack_has_the_lanes_in_order():
    lanes = [{"a": torch.tensor([1, 2]), "n": torch.tensor(3)}, {"a": torch.tensor([5, 6]), "n": 4}]
    lanes[1]["n"] = torch.tensor(4)
    stacked = stack(lanes)
    assert stacked["a"].tolist() == [[1, 2], [5, 6]]
    assert stacked["n"].tolist() == [3, 4]


def test_a_part_s_state_lies_within_another_s():
    whole = {**nested("ring", STATE), **nested("ringed", {"rows": torch.zeros(1)}), "own": STATE}
    assert within("ring", whole).keys() == STATE.keys()
    assert within("nothing", whole) == {}


def test_take_gives_what_fits():
    assert take(STATE, "rows", (2, 3), torch.float32) is STATE["rows"]


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "words"),
    [
        ("rows", (3, 2), torch.float32, r"rows: expected torch.float32 \(3, 2\), found"),
        ("rows", (2, 3), torch.float64, r"rows: expected torch.float64 \(2, 3\), found torch.fl"),
        ("gone", (2, 3), torch.float32, r"gone: expected .* found nothing"),
    ],
)
def test_take_refuses_what_does_not_fit(name, shape, dtype, words):
    with pytest.raises(ValueError, match=words):
        take(STATE, name, shape, dtype)
