"""The only door to the outside world for agents: documents, and a line in a file."""
