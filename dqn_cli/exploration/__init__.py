"""How often a random action is taken."""
