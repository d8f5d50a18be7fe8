"""The only door to a model: routing, pricing, the ledger's hook, and the offline model."""
