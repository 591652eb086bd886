"""The event and input.json, read into frozen values."""
