"""Recording: events from the calls to the bus, through memory and, while the bus is away, through the disk."""
