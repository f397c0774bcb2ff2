"""A function host for machines that lack Azure Functions Core Tools, around Microsoft's worker for Python.

The worker (`azure-functions-runtime`) indexes the app, converts its bindings and invokes it, as in Azure.
This package does what the .NET host and its extensions do there: routes and keys, timers, storage queues
with retries and poison queues, blob and Event Grid webhooks, `host.json`. It knows nothing about any one app.

Where it differs from the platform: one instance runs at a time, so timers take no lock and keep no schedule
status; a message whose host died comes back after 30 seconds, not ten minutes; one key opens everything;
routes have no constraints; `func.HttpResponse` sets no cookies; blobs are bound to SDK types only;
`@app.retry` is not applied; of `host.json` only what the module `host_json` lists is read.
"""


class UnservableAppError(Exception):
    """The app cannot be served; the message says what is wrong, and where."""
