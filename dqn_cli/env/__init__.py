"""Which environment."""
