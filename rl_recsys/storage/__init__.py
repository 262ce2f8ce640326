"""Files and folders on disks and in buckets: whole, owned, locked and verified."""
