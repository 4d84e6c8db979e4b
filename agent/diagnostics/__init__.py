"""What language servers and linters of a project say of files that were changed."""
