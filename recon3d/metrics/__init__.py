"""Figures that compare results with a reference: pictures, poses, points."""
