"""Secrets by name: asked for at use, kept in the environment, a folder, Vault or AWS, rotated at any time."""
