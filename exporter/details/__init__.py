"""Details of single containers for the on-call: JSON on request, and the newest log lines with what looks like a secret masked."""
