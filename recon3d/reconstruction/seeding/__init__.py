"""Splats to start from: sparse points, plane-sweep stereo, and a backdrop far behind."""
