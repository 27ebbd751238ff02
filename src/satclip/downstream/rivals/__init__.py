"""Encoders to compare with, all through one contract: longitude and latitude in degrees to vectors."""
