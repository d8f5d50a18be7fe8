"""Money: budgets, what is reserved before a call, what a call has cost."""
