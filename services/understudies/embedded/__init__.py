"""The platform: all five services composed into one process."""

from understudies.embedded.platform import Platform, PlatformConfig

__all__ = ["PlatformConfig", "Platform"]
