"""The page that shows a scene in a browser: served from here, or as one file. Loads no torch."""
