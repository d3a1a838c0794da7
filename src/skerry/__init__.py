"""Skerry: your own machines as a virtual-machine cloud that speaks Azure's API."""

__version__ = "0.1.0"
