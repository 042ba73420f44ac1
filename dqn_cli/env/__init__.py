"""Which environment."""

import gymnasium

from dqn_cli.env.atari import GAMES

gymnasium.register(
    "dqn_cli/GridWorld-v0",
    entry_point="dqn_cli.env.gridworld:GridWorld",  # imported when one is made
    max_episode_steps=200,
)


def title(game: str) -> str:
    """space_invaders -> SpaceInvaders"""
    return game.title().replace("_", "")


for game in ("asterix", "breakout", "freeway", "seaquest", "space_invaders"):
    gymnasium.register(
        f"dqn_cli/MinAtar-{title(game)}-v0",
        entry_point="dqn_cli.env.minatar:MinAtar",
        kwargs={"game": game},
    )

for game in GAMES:
    gymnasium.register(
        f"dqn_cli/Atari-{title(game)}-v0",
        entry_point="dqn_cli.env.atari:Atari",
        kwargs={"game": game},
    )
