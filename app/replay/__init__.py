"""Sending what Kafka still has once more: signals to the stores, blocks through the processors."""
