"""The one ordered stream of frozen events: a file a family, and the union with its JSON."""
