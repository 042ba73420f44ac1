"""How replay keeps what happened."""
