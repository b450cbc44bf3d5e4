"""Record in a worker process: its client, the IPC channel and the worker."""
