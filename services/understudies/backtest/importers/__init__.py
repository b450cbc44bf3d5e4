"""Readers of recorded calls, whatever tool recorded them."""

from understudies.backtest.importers.reading import read_calls

__all__ = ["read_calls"]
