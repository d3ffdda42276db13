"""How fast: throughput, scale, load, sizes and notifications, each measured on a local stack."""
