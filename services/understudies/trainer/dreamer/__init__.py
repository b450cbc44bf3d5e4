"""Write synthetic training examples near a student's weak spots, off-peak and within a budget."""
