"""Sensors: what measures on this machine."""
