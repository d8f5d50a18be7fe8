"""Programs and what they learn from: versions, examples, feedback, evaluations."""
