"""What a training will cost before it runs: operations, memory and time."""
