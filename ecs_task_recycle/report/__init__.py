"""What a run tells of itself: answer, progress line, final log record."""
