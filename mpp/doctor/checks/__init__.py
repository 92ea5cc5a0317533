"""Checks: each a small function from a report without findings to findings."""
