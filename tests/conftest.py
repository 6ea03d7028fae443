"""What holds for every test."""

from hypothesis import settings

# The same examples in every run: a test that fails does so again. The runs that look for more bring
# seeds of their own, and print them.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
