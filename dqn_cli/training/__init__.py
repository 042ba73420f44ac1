"""The run: environment, replay and learner in step, for all seeds at once."""
