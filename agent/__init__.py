"""The engine: knows no tool by name and no screen."""
