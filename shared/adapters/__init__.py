"""The only modules that import Azure's SDKs and HTTP clients; each maps foreign errors to our own."""
