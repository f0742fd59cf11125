"""Whole pipelines on real servers, from what producers send to what readers of the stores see."""
