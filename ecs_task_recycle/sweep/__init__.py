"""Many services in one event: which, in what order, how many at once."""
