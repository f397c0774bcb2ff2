"""The HTTP routes, and how the app reads, authorizes and answers requests."""
