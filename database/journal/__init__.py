"""The call ledger and what is read from it: answers, large texts, replays, receipts."""
