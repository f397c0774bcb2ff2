"""Which endpoints and models can be called now."""
