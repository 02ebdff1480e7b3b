output "efs" {
  value = {
    id = aws_efs_file_system.this.id
  }
  # A volume can be mounted once its zone has a mount target.
  depends_on = [aws_efs_mount_target.this]
}

output "fsx" {
  description = "Null without FSx."
  value = var.fsx ? {
    id         = aws_fsx_lustre_file_system.this[0].id
    dns_name   = aws_fsx_lustre_file_system.this[0].dns_name
    mount_name = aws_fsx_lustre_file_system.this[0].mount_name
    capacity   = var.fsx_storage_capacity
    subnet_id  = var.subnet_ids[var.fsx_zone]
  } : null
}

output "bucket" {
  value = aws_s3_bucket.data.id
}
