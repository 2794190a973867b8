"""VGGT and its parts."""
