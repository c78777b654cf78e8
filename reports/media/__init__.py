"""Contact sheets and videos."""
