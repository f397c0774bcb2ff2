"""Plain HTTP: reading responses, and the webhook."""
