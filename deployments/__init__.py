"""Where and when: warm worker, local stack, command line, Prefect resources."""
