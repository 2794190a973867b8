"""The version, where every part of the package can look down at it."""

__version__ = "0.1.0"
