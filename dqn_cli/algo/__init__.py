"""Which backup and loss: what a sample costs, and the priority it earns."""
