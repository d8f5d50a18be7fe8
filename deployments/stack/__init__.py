"""The local stack: every process of Millrace on one machine, started together and ended together."""
