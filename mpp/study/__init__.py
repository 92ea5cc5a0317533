"""Studies: many trainings under one protocol, kept one by one and gathered into one result."""
