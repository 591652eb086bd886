"""The mail of a run: text and HTML parts, and the SMTP server they go to."""
