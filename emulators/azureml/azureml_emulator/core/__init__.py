"""What every part of the emulator needs: state, clock, routes, errors, tokens, faults and the catalogue."""
