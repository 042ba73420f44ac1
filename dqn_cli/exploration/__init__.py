"""How the actions of training are chosen."""
