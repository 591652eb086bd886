"""What quickens the clock of the processes that a demo starts."""
