"""Runs a rendered release as processes of this machine."""
