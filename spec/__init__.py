"""The machine-readable specification of the profile. Not part of the wheel."""
