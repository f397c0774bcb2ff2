"""Operations of the workspace's data plane: run history, logs, MLflow tracking, and the Blob API."""
