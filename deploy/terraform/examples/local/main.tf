# The migrations of a directory, applied to the database that DATABASE_URL or
# PGHOST, PGDATABASE ... name in Terraform's environment.

variable "migrations" {
  description = "The directory of the migrations."
  type        = string
}

module "migrations" {
  source = "../.."

  directory = var.migrations
  command   = "tapmig up"
}

# Comes after the migrations, and not at all when one of them failed.
resource "terraform_data" "application" {
  input = module.migrations.applied
}
