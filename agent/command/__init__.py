"""What a shell command is made of, what it would do, and so what it needs: read, never run."""
