"""What the MLflow server lets unmodified clients change: one pure decision per rule."""
