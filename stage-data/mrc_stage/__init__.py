"""Stages data sets: into S3, and from S3 onto a shared file system."""
