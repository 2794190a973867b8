"""Splats fitted to photos: the loop, its parameters and optimiser, and what is added and removed on the way."""
