output "vpc_id" {
  value = aws_vpc.this.id
}

output "private_subnet_ids" {
  description = "Private subnet of each zone."
  value       = { for zone, subnet in aws_subnet.private : zone => subnet.id }
  # Nodes pull images through the NAT gateway from their first second on.
  depends_on = [aws_nat_gateway.this, aws_route_table_association.private]
}
