"""ZPressor (arXiv 2505.23734): features of many views into those of a few anchor views."""
