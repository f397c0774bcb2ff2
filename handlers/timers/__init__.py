"""One handler for each timer."""
