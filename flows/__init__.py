"""Decide: one file per pipeline, the flow on top and its steps below."""
