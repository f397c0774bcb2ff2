"""Measure a model on test conversations, and compare it with another on the same ones."""
