"""What a run does to a service, one step after the other."""
