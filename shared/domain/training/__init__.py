"""What the registry says of base models and the training component, and how a job is named."""
