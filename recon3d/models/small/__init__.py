"""Our own geometry network: small enough for two CPU cores, trained here on procedural scenes."""
