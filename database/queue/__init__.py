"""Runs from acceptance to their end: the queue, its leases, what waits, and what an end sets off."""
