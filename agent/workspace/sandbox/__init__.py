"""What confines commands: one file a mechanism, probed by really running it."""
