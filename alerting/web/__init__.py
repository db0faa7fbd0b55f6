"""The pages and APIs of vakhta-alerting."""
