"""Remember: tables, engine, query functions."""
