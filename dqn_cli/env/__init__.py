"""Which environment."""

import gymnasium

gymnasium.register(
    "dqn_cli/GridWorld-v0",
    entry_point="dqn_cli.env.gridworld:GridWorld",  # imported when one is made
    max_episode_steps=200,
)

for game in ("asterix", "breakout", "freeway", "seaquest", "space_invaders"):
    gymnasium.register(
        f"dqn_cli/MinAtar-{game.title().replace('_', '')}-v0",
        entry_point="dqn_cli.env.minatar:MinAtar",
        kwargs={"game": game},
    )
