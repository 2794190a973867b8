"""Structure from motion in process, by pycolmap: features, matches, mapping."""
