"""Leaf helpers that both processes use; they import neither."""
