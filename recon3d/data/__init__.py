"""Data to learn from and to measure on: procedural scenes, rendered where they are used, and published data sets as they lie."""
