"""Measurements: what the modelled link gives, beside what arithmetic says."""
