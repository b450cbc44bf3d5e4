"""The observer: every event into the store, and a dataset for every student that is authorised."""
