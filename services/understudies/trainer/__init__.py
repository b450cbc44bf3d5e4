"""Train the cheapest student that a task's recorded calls allow, or report why there is none."""
