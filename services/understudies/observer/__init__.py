"""The observer: store every event, and build a dataset for every authorised student."""
