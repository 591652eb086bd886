"""Whom a run tells of its end: one folder or file a channel."""
