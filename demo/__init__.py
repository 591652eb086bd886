"""What `make demo` and `make demo-deploy` show; tests/e2e stands on the same. Never shipped."""
