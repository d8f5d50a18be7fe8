"""What every process needs first: settings, logging, errors, ids, clock."""
