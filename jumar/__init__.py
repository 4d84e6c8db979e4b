"""The front door: arguments, wiring, headless printers."""

__version__ = "0.1.0"
