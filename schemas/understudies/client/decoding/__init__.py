"""Decode the arguments and answers of client libraries into the contracts."""
