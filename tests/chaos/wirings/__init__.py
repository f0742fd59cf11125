"""The dedupe stage wired otherwise, to show what each part of its delivery is for: for tests alone.

Each module is a Faust app: `faust -A tests.chaos.wirings.stock worker`. `python -m tests.chaos.wirings` puts
the same load and faults to each.
"""
