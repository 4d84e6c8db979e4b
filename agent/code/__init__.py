"""What jumar knows of code: its syntax."""
