"""Annotation projects: their database, leases, and the choice of sentences."""
