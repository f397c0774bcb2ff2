"""Pure rules: no I/O, no clock, no environment, no randomness, no logging. `now` is always an argument."""
