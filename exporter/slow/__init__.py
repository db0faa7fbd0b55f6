"""Facts too slow for a scrape, collected in the background."""
