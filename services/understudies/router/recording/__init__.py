"""Record calls: deliver their events to the bus, through memory and, while the bus is unavailable, through the disk."""
