"""The warm worker: runs many flow runs at once inside one process that has everything imported."""
