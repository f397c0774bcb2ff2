"""How a run advances: observe, decide, carry out a step, save."""
