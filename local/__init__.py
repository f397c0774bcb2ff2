"""The whole product on one machine: storage, Azure ML and a function host, with no cloud account.

Nothing here imports the app's own packages: what the app sees locally is what it would see in Azure,
its environment and its wire.
"""
