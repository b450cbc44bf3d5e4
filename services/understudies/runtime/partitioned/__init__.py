"""Share the work of a service among several processes: each owns some partitions, and the state of their tasks."""
