"""Scores: what was reconstructed, here or by another program, against a data set's truth."""
