"""alertctl: the tool of the person who runs Vakhta."""
