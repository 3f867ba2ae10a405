"""What the package asks of the machine: locks, folders that it keeps, messages. It knows nothing of spectra."""
