"""A dataset on this machine: found, converted to JSON Lines, validated as the app will, and uploaded."""
