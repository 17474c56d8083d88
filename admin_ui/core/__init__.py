"""What the nouns of the panel share."""
