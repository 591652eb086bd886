"""The wire: every AWS call and its answer."""
