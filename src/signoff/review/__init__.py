"""Review: looking back from a production model to everything it rests on."""
