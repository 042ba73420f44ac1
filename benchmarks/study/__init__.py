"""The reference study: its sweeps, and what is made of them."""
