"""The figure of the toolkit as code, its literal tables of choices, and what a run keeps on disk."""
