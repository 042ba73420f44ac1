"""The arithmetic of a layer for all lanes at once, on whatever the arrays lie."""
