"""The platform: all five services composed into one process."""

from understudies.embedded.platform import Plan, Platform

__all__ = ["Plan", "Platform"]
