"""Channels: the outputs, and the inputs that read what other kits and servers sent."""
