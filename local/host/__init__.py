"""A function host for the Python v2 model, for machines that lack Azure Functions Core Tools.

It loads an app folder's `function_app.py`, reads the triggers that it declares and serves them: HTTP
routes with keys, timers, storage queues with retries and poison queues, and blob events as Event Grid
delivers them. Bindings are decoded and encoded by the converters of the real `azure-functions` and
`azurefunctions-extensions-bindings-blob` packages. It knows nothing about any one app.

Where it differs from the platform: one instance runs at a time, so timers take no lock and keep no
schedule status; a message whose host died comes back after 30 seconds, not ten minutes; blobs are bound
to SDK types only; `@app.retry` is not applied.
"""
