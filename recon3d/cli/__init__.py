"""One file per command: parses, calls one function, prints one table."""
