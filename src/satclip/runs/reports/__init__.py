"""Runs that are finished, running or failed: read from their folders, compared, and shown on pages."""
