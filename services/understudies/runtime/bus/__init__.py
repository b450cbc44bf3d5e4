"""Kafka: publish events, consume topics in batches, administer topics, run an embedded broker."""
