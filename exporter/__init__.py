"""The exporter: sees the host, holds no bot token, serves /metrics and /events."""
