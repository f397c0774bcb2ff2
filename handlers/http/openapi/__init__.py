"""`GET /api/openapi.json`: the API, described from the table of routes and the types that it names."""
