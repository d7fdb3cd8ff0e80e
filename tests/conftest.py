"""What all tests share: pytest's own plugin for testing plugins, and one profile for Hypothesis."""

from hypothesis import settings

pytest_plugins = ["pytester"]

settings.register_profile("heliograph", deadline=None, max_examples=100, print_blob=True)
settings.load_profile("heliograph")
