"""Blob and queue storage."""
