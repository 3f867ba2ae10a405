"""Files of tests that `make fast` leaves out."""

SLOW = {
    "benchmarks/test_local_index.py",
    "docs/test_site.py",
    "grid/test_embedded.py",
    "grid/test_runs.py",
    "grid/test_synspec.py",
    "grid/test_user_grid.py",
    "models/test_pair.py",
    "models/test_pickling.py",
    "networks/test_exact.py",
    "networks/test_jacobian.py",
    "promotion/test_crash.py",
    "promotion/test_fresh_runs.py",
    "promotion/test_promote.py",
    "promotion/test_team.py",
    "registry/test_tracking_store.py",
    "shipped/test_wheel.py",
    "training/test_fit_network.py",
    "training/test_teacher.py",
    "training/test_train_emulator.py",
    "tuning/test_targets.py",
    "validation/test_corruptions.py",
    "validation/test_quarantine.py",
}
"""Files that hold a test of more than two seconds: they train, synthesise, kill or install."""
