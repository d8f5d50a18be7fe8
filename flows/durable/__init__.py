"""The durable shell around pipelines: runs, steps, the call ledger's binding and the event log."""
