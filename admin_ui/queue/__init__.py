"""What waits or is held: seen, filtered, moved."""
