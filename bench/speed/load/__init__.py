"""Many batches at once over several replicas: what they reach, whom they hold up, and what they leave."""
