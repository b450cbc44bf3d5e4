"""Read what the console shows from the store: aggregates by day, disagreements, marks, what a student is."""
