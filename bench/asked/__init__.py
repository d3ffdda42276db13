"""Queries of a large batch: asked in processes of their own, and held against DuckDB."""
