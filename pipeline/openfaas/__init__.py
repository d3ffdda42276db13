"""The OpenFaaS gateway and the signatures of URLs and answers. Imports answers and the base only."""
