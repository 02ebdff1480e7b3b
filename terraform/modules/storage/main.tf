# EFS with a mount target in every zone, FSx for Lustre in the zone of the training nodes, and a bucket.

locals {
  # Ports of NFS and of Lustre.
  ports = {
    efs        = { file_system = "efs", from = 2049, to = 2049 }
    fsx        = { file_system = "fsx", from = 988, to = 988 }
    fsx-client = { file_system = "fsx", from = 1018, to = 1023 }
  }
  lustre = { for name, ports in local.ports : name => ports if ports.file_system == "fsx" && var.fsx }
}

resource "aws_kms_key" "data" {
  # checkov:skip=CKV2_AWS_64: without a policy of its own, the account's IAM policies decide who may use the key
  description             = "${var.cluster_name}: file systems"
  enable_key_rotation     = true
  deletion_window_in_days = 7
}

resource "aws_security_group" "this" {
  # checkov:skip=CKV2_AWS_5: attached to the mount targets of EFS and to FSx, which checkov does not follow by for_each
  for_each    = var.fsx ? toset(["efs", "fsx"]) : toset(["efs"])
  name        = "${var.cluster_name}-${each.key}"
  description = "Clients of ${each.key}"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.cluster_name}-${each.key}" }
}

resource "aws_vpc_security_group_ingress_rule" "nodes" {
  for_each                     = merge({ efs = local.ports.efs }, local.lustre)
  description                  = "Mounts by the nodes"
  security_group_id            = aws_security_group.this[each.value.file_system].id
  referenced_security_group_id = var.cluster_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = each.value.from
  to_port                      = each.value.to
}

# The servers of Lustre talk to each other, too.
resource "aws_vpc_security_group_ingress_rule" "lustre" {
  for_each                     = local.lustre
  description                  = "Between Lustre's servers"
  security_group_id            = aws_security_group.this["fsx"].id
  referenced_security_group_id = aws_security_group.this["fsx"].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.from
  to_port                      = each.value.to
}

resource "aws_vpc_security_group_egress_rule" "lustre" {
  for_each                     = local.lustre
  description                  = "Between Lustre's servers"
  security_group_id            = aws_security_group.this["fsx"].id
  referenced_security_group_id = aws_security_group.this["fsx"].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.from
  to_port                      = each.value.to
}

resource "aws_efs_file_system" "this" {
  performance_mode = "generalPurpose"
  throughput_mode  = "elastic"
  encrypted        = true
  kms_key_id       = aws_kms_key.data.arn
  tags             = { Name = var.cluster_name }
}

resource "aws_efs_mount_target" "this" {
  for_each        = var.subnet_ids
  file_system_id  = aws_efs_file_system.this.id
  subnet_id       = each.value
  security_groups = [aws_security_group.this["efs"].id]
}

resource "aws_fsx_lustre_file_system" "this" {
  count                       = var.fsx ? 1 : 0
  deployment_type             = "PERSISTENT_2"
  storage_capacity            = var.fsx_storage_capacity
  per_unit_storage_throughput = 250
  file_system_type_version    = "2.15"
  data_compression_type       = "LZ4"
  kms_key_id                  = aws_kms_key.data.arn
  subnet_ids                  = [var.subnet_ids[var.fsx_zone]]
  security_group_ids          = [aws_security_group.this["fsx"].id]
  tags                        = { Name = var.cluster_name }
  # FSx checks that its ports are open before it creates anything.
  depends_on = [
    aws_vpc_security_group_ingress_rule.nodes,
    aws_vpc_security_group_ingress_rule.lustre,
    aws_vpc_security_group_egress_rule.lustre,
  ]
}

resource "aws_fsx_data_repository_association" "this" {
  count                            = var.fsx && var.import_path != "" ? 1 : 0
  file_system_id                   = aws_fsx_lustre_file_system.this[0].id
  data_repository_path             = var.import_path
  file_system_path                 = "/data"
  batch_import_meta_data_on_create = true
  s3 {
    auto_import_policy {
      events = ["NEW", "CHANGED", "DELETED"]
    }
  }
}

resource "aws_s3_bucket" "data" {
  # checkov:skip=CKV_AWS_18: access logs need a second bucket; CloudTrail has data events for those who want them
  # checkov:skip=CKV_AWS_21: versions would double the cost of a data set, whose source is elsewhere
  # checkov:skip=CKV_AWS_144: FSx and training read it in this region only
  # checkov:skip=CKV_AWS_145: S3's own key, see below
  # checkov:skip=CKV2_AWS_61: nothing in it expires by itself
  # checkov:skip=CKV2_AWS_62: nothing waits for its events
  bucket_prefix = "${lower(var.cluster_name)}-"
  force_destroy = false # it may hold the only copy of a data set
}

resource "aws_s3_bucket_public_access_block" "data" {
  bucket                  = aws_s3_bucket.data.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# S3's own key: FSx reads the bucket by a role of its own, which the policy of another key would have to name.
resource "aws_s3_bucket_server_side_encryption_configuration" "data" {
  bucket = aws_s3_bucket.data.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}
