"""Pairs of views to one world: their poses, focal lengths, and the alignment of all of them."""
