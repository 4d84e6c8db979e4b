"""Files and processes, confined."""
