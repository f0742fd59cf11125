"""Real servers on one machine without Docker: the defaults of the demo and of the tests."""
