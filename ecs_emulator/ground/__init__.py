"""What knows nobody: time and its clocks, knobs, errors, a call as it is written down."""
