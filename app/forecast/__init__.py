"""Forecasts of the next block: pure functions of what came before it."""
