"""Many batches at once over several replicas: throughput, fairness, memory and leftovers."""
