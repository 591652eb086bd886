"""A service's run record: lock, journal and requests."""
