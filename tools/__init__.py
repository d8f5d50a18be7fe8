"""The only door to the outside world for agents: for now, documents."""
