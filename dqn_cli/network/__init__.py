"""Which network: K values of each action, for all lanes, from one matrix of parameters."""
