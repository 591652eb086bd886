"""Reads the event and input.json into frozen values."""
