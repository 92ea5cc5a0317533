"""Training: mixture, optimizer and the Lightning modules that wire them."""
