"""Containers as Docker tells of them: events, inspects, and what follows from both."""
