"""Tell how services stand: to a status command, to Prometheus, and to whoever starts and stops them."""
