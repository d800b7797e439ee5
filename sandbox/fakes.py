"""The sandbox's secret values: obvious fakes, good for nothing outside the node."""

from sandbox import paths

SECRET_VERSION = "00000000-0000-4000-8000-000000000001"
"""The version id that Pulumi.sandbox.yaml pins for both colors; who puts a value may choose its id."""

SECRET_VALUES = {
    "DATABASE_URL": f"postgresql://shop:not-a-secret@{paths.NODE_IP}:{paths.POSTGRES_PORT}/shop",
    "MIGRATION_DATABASE_URL": f"postgresql://shop_migrate:not-a-secret@{paths.NODE_IP}:{paths.POSTGRES_PORT}/shop",
    "JWT_SECRET": "not-a-secret-but-32-characters-long-or-more",
}
"""What the entry ``app`` holds: the service's own role reads and writes rows, the migration's role changes tables."""

STATE_KEY_ID = "00000000-0000-4000-8000-000000000002"
STATE_KEY_MATERIAL = b"not-a-secret-but-32-bytes-long!!"
"""The KMS key of production's state, the same in every life: Pulumi.production.yaml holds what it has encrypted."""
