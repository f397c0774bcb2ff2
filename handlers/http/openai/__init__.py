"""The OpenAI-compatible routes under `/api/v1`."""
