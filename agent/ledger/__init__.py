"""Snapshots of the workspace, and what lies between them."""
