"""Scores: each one formula, defined once."""
