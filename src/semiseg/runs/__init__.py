"""What a run folder holds, for all who read one: checkpoints and metrics."""
