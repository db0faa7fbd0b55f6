"""Rules: load, evaluate, remember."""
