"""What comes with the package, found by `resources`."""
