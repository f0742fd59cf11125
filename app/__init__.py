"""sigstream: blocks in, signals out. What the workers are made of; `topologies/` wires it together."""
