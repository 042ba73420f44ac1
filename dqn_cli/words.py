"""Numbers in sentences."""


def counted(number: int, noun: str) -> str:
    """1 seed, 2 seeds."""
    return f"{number} {noun}{'s' * (number != 1)}"
