"""Models as all workers know them: catalogue, health, estimates, kept answers."""
