"""Who calls: people with passwords and sessions, programs with keys, and what each of them may do."""
