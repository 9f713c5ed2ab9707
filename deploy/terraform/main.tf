# Runs a command when the migrations in a directory have changed, after they
# were uploaded. Needs no provider: terraform_data is Terraform's own.
#
# A command that fails leaves its resource tainted, so that the apply fails and
# the next one tries again. Nothing runs on destroy.

terraform {
  required_version = ">= 1.4"
}

locals {
  # What tapmig reads: VERSION_name.sql, VERSION_name/up.sql and
  # VERSION_name/migration.sql, and the directories of Sqitch and
  # graphile-migrate; no hidden files (an editor's may be links to nowhere), no
  # schema.sql. Only names and contents count, so that the hash is the same on
  # every machine.
  files = {
    for file in setunion(
      fileset(var.directory, "[^.]*.sql"),
      fileset(var.directory, "[^.]*/{up,migration}.sql"),
      fileset(var.directory, "sqitch.plan"),
      fileset(var.directory, "deploy/**/[^.]*.sql"),
      fileset(var.directory, "committed/[^.]*.sql"),
    ) : file => filesha256("${var.directory}/${file}") if file != "schema.sql"
  }
  hash = sha256(jsonencode(local.files))

  environment = merge(var.environment, {
    TAPMIG_DIR = abspath(var.directory)
  })
}

resource "terraform_data" "upload" {
  count = var.upload == null ? 0 : 1

  triggers_replace = [local.hash, var.triggers]

  lifecycle {
    precondition {
      condition     = length(local.files) > 0
      error_message = "No migration in ${var.directory}: nothing was uploaded or run."
    }
  }

  provisioner "local-exec" {
    interpreter = ["/bin/sh", "-eu", "-c"]
    command     = var.upload
    environment = local.environment
  }
}

resource "terraform_data" "run" {
  depends_on = [terraform_data.upload]

  input            = local.hash
  triggers_replace = [local.hash, var.triggers]

  lifecycle {
    precondition {
      condition     = length(local.files) > 0
      error_message = "No migration in ${var.directory}: nothing was uploaded or run."
    }
  }

  provisioner "local-exec" {
    interpreter = ["/bin/sh", "-eu", "-c"]
    command     = var.command
    environment = local.environment
  }
}
