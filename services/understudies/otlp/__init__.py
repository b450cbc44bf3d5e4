"""Receive spans of model calls by OTLP/HTTP, and publish the calls."""
