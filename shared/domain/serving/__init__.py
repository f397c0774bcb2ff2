"""Requests to and replies from a deployed chat model, in Azure ML's and OpenAI's formats."""
