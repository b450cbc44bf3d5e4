"""The trainer: makes the cheapest student that a task's recorded calls allow, or says why there is none."""
