"""The recorder, where it used to be."""

from understudies.router.recording import Recorder

__all__ = ["Recorder"]
