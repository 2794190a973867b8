"""Splats with cameras to a surface of triangles: depth of every view, fused in a volume, its zero, cleaned and coloured."""
