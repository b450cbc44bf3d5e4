"""Put a recorded log into a live installation, so that training begins at once."""
