"""Which network: Q-values of all lanes from one matrix of parameters."""
