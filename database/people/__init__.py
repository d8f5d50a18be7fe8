"""Who may do what: users, sign-ins, keys, projects, and the log of what was done."""
