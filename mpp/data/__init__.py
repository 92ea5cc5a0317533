"""Files in: readers that turn simulation output into the canonical schema."""
