"""Faults for real servers and workers: a proxy in front of a server, a full disk, a clock that jumps."""
