"""Run directories: what is in one (schema), writing, reading, pooling and summing up. No torch."""
