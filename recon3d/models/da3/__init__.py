"""Depth Anything 3 and its parts."""
