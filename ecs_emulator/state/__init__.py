"""What there is in a world: services and tasks, what can be said of them, the ledger of changes."""
