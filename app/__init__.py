"""The reference service: the smallest application that keeps every promise a release depends on."""
