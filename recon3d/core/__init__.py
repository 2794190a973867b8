"""The types that flow through the pipeline, and the geometry that needs nothing but them. No files, no networks, no screen."""
