"""The published experiments, trained again, and the report that puts both side by side."""
