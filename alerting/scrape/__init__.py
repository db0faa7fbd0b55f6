"""Scrape targets and listen to their events."""
