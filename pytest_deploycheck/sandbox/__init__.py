"""Where a copy of the project runs: its folder, its ports, its environment, and what cleans up after it."""
