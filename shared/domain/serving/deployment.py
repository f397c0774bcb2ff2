"""The one deployment of every endpoint."""

DEPLOYMENT = "main"
"""Its name."""

ALL_TRAFFIC = {DEPLOYMENT: 100}
