"""The parts of adit-bench."""
