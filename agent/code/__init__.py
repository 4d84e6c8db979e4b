"""What jumar knows of code: its syntax, its names."""
