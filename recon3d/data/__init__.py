"""Data to learn from: procedural scenes, rendered where they are used."""
