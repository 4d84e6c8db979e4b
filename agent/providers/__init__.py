"""Wire protocols behind a model: one file each."""
