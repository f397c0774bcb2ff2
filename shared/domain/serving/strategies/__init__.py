"""The ways to serve a model, one module each."""
