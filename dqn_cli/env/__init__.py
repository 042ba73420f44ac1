"""Which environment."""

import gymnasium

gymnasium.register(
    "dqn_cli/GridWorld-v0",
    entry_point="dqn_cli.env.gridworld:GridWorld",  # imported when one is made
    max_episode_steps=200,
)
