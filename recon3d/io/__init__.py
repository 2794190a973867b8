"""Reading and writing: photos, videos, cameras, COLMAP models, splat files. The only layer that opens files."""
