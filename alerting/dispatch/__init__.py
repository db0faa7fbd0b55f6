"""Dispatch: routes, inhibition, and the life of an incident."""
