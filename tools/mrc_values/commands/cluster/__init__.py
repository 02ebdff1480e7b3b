"""Make a cluster that Terraform built ready for training, or ready for terraform destroy."""
