"""What every service runs on: the bus, the store, time, snapshots, telemetry and the embedded broker."""
