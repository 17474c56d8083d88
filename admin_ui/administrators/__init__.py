"""Who may run the host from the panel; the example of a noun: list, add, change, remove."""
