"""Which Bellman backup: the loss of one sample and the priority it earns."""
