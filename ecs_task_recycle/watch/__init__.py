"""What reads show of a service, and all waiting."""
