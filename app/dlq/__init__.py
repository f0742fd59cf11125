"""Dead letters that somebody has looked at: replayed to where they came from, or dropped."""
