"""Splats to pictures: one call, several backends."""
