"""One OpenFaaS function that maps any other function over a dataset and brings the results back together."""
