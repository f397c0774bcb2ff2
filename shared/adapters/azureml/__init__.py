"""Azure ML: ARM, registry, jobs, models, metrics, endpoints, scoring."""
