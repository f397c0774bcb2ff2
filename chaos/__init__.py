"""What becomes of runs when everything else goes wrong: `python -m chaos`, see docs/reliability.md."""
