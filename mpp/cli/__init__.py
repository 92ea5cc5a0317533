"""The commands: thin wrappers that turn arguments into calls of the package's functions."""
