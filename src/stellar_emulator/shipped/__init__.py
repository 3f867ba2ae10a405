"""The files that come with the package; `resources` finds them."""
