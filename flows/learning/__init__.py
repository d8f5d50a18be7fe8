"""What the flows that measure and improve programs share: examples, metrics, statistics, caps."""
