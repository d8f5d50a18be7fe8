"""What may be asked and what comes back: plain data, validated by pydantic."""
