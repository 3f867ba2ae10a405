"""What comes with the package."""
