"""The first page: what needs attention, then pictures."""
