"""Forecasts of a processor against what came, walk-forward over blocks of the past."""
