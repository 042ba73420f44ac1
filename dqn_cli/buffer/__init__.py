"""Which replay: what is kept of the past and which of it is learned from."""
