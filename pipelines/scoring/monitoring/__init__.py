"""What is checked and recorded of every night: checks, drift, ledger and its plot."""
