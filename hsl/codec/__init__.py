"""Bytes to flits to messages, and back."""
