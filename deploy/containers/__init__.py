"""What the container image's build needs."""
