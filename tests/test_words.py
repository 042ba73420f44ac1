import pytest

from dqn_cli.words import counted


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 seeds"), (1, "1 seed"), (2, "2 seeds"), (1000, "1000 seeds")]
)
def test_one_is_not_many(number: int, said: str) -> None:
    assert counted(number, "seed") == said
