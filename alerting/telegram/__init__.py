"""Telegram: what a message says, how it gets there, and what people answer."""
