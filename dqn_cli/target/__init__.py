"""How the target network follows the online network."""
