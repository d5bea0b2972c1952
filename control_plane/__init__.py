"""The server: from commits to signed manifests, reports and the status page."""
