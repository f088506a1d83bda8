"""Programs: command line, MLflow client plugins, scoring. Clocks, environment and wiring live here."""
