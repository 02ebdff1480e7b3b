"""Training and hosting on Amazon SageMaker."""
