"""Redaction: replace secrets and personal data before a call leaves the process."""
