"""The seams to hardware, each with its simulated twin at the transport.

A driver runs the same code, and the same libraries, over a real bus and over its twin. What the
twins measure comes from `scenario`, what goes wrong with them from `faults`.
"""
