"""What the package needs from the machine: files, locks, the cache, messages. Nothing here depends on spectra."""
