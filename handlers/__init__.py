"""One use case a file: plain arguments in, plain result out. No triggers here, and no SDKs."""
