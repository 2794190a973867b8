"""The same examples every time, so that a test command that passed passes again; .ci/full draws new ones."""

from hypothesis import settings

settings.register_profile("same", derandomize=True, database=None)
settings.load_profile("same")
