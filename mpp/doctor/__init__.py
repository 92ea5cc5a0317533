"""What is in simulation files, and will they train: sampled data, checks, and a report."""
