"""Heads: networks that make Gaussians of views whose cameras are known, and what they are given."""
