"""Replay recorded calls through the five services on a virtual clock, to report what students would have saved."""
