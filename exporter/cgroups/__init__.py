"""Usage of containers and host, read from cgroup files (v1 and v2) at scrape time."""
