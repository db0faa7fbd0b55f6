"""vakhta-alerting: scrape, evaluate rules, dispatch incidents, deliver to Telegram."""
