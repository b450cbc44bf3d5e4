"""What holds for all tests."""

from hypothesis import settings

# How long one example takes is no property of what is tested: a machine may be busy with something else.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
