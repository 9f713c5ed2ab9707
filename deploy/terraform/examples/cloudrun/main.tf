# A Cloud Run job that applies the migrations of a bucket, started whenever the
# directory has changed. Needs the Google Cloud CLI, logged in, where Terraform
# runs.

terraform {
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 5.30"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region
}

resource "google_service_account" "migrate" {
  account_id = "fleet-migrate"
}

resource "google_storage_bucket" "migrations" {
  name                        = "${var.project}-fleet-migrations"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }
}

# The job reads the bucket, and may not write it.
resource "google_storage_bucket_iam_member" "migrate" {
  bucket = google_storage_bucket.migrations.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.migrate.member
}

resource "google_secret_manager_secret_iam_member" "migrate" {
  secret_id = var.database_url_secret
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.migrate.member
}

resource "google_cloud_run_v2_job" "migrate" {
  name     = "fleet-migrate"
  location = var.region

  template {
    task_count  = 1
    parallelism = 1

    template {
      service_account = google_service_account.migrate.email
      timeout         = "3600s"

      # runner.sh tries again what may be tried again, and nothing else.
      max_retries = 0

      containers {
        image = var.image
        args  = ["up"]

        env {
          name  = "TAPMIG_DIR"
          value = "/migrations"
        }
        env {
          name = "DATABASE_URL"
          value_source {
            secret_key_ref {
              secret  = var.database_url_secret
              version = "latest"
            }
          }
        }
        volume_mounts {
          name       = "migrations"
          mount_path = "/migrations"
        }
      }

      volumes {
        name = "migrations"
        gcs {
          bucket    = google_storage_bucket.migrations.name
          read_only = true
        }
      }

      vpc_access {
        egress = "PRIVATE_RANGES_ONLY"
        network_interfaces {
          network    = var.network
          subnetwork = var.subnetwork
        }
      }
    }
  }

  depends_on = [
    google_storage_bucket_iam_member.migrate,
    google_secret_manager_secret_iam_member.migrate,
  ]
}

module "migrations" {
  source = "../.."

  directory = var.migrations

  # What is gone here goes there: a renamed file would be two of one version.
  upload = "gcloud storage rsync --recursive --delete-unmatched-destination-objects \"$TAPMIG_DIR\" \"gs://$BUCKET\""

  # --wait: ends when the job has ended, and fails when it has failed.
  command = "gcloud run jobs execute \"$JOB\" --project \"$PROJECT\" --region \"$REGION\" --update-env-vars \"TAPMIG_REVISION=$REVISION\" --wait"

  environment = {
    BUCKET   = google_storage_bucket.migrations.name
    JOB      = google_cloud_run_v2_job.migrate.name
    PROJECT  = var.project
    REGION   = var.region
    REVISION = var.revision
  }
}
