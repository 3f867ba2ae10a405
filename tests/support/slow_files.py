"""Files of tests that `make fast` leaves out."""

SLOW = {
    "benchmarks/test_everything_benchmark.py",
    "benchmarks/test_generation_benchmark.py",
    "benchmarks/test_local_index.py",
    "contract/test_expectation_limits.py",
    "docs/test_site.py",
    "explorer/test_explore_command.py",
    "explorer/test_explorer_page.py",
    "fitting/test_epochs.py",
    "fitting/test_estimate.py",
    "gate/test_attacks.py",
    "grid/test_compact.py",
    "grid/test_embedded.py",
    "grid/test_engine.py",
    "grid/test_foreign_readers.py",
    "grid/test_import.py",
    "grid/test_runs.py",
    "grid/test_synspec.py",
    "grid/test_user_grid.py",
    "models/test_pair.py",
    "models/test_pickling.py",
    "networks/test_exact.py",
    "networks/test_jacobian.py",
    "observed/test_hostile_files.py",
    "observed/test_other_forms.py",
    "promotion/test_audit.py",
    "promotion/test_crash.py",
    "promotion/test_forged.py",
    "promotion/test_fresh_runs.py",
    "promotion/test_held_out.py",
    "promotion/test_lease.py",
    "promotion/test_promote.py",
    "promotion/test_store_dies.py",
    "promotion/test_team.py",
    "registry/test_sealed.py",
    "registry/test_tracking_store.py",
    "saved/test_bundle.py",
    "serving/test_hostile.py",
    "serving/test_malformed.py",
    "shipped/test_wheel.py",
    "survey/test_fill.py",
    "survey/test_kills.py",
    "test_imports.py",
    "test_setup.py",
    "training/test_few_runs.py",
    "training/test_fit_network.py",
    "training/test_teacher.py",
    "training/test_train_emulator.py",
    "training/test_weights.py",
    "tuning/test_search.py",
    "tuning/test_search_team.py",
    "tuning/test_targets.py",
    "validation/test_against_verb.py",
    "validation/test_corruptions.py",
    "validation/test_mistakes.py",
    "validation/test_quarantine.py",
}
"""Files that hold a test of more than two seconds, or many that take some seconds together: they train,
synthesise, kill, install, attack or import in processes of their own."""

FIRST = (
    "integration/test_notebooks.py",
    "integration/test_train.py",
    "integration/test_evaluate.py",
    "integration/test_validate.py",
    "integration/test_seams.py",
    "integration/test_tune.py",
    "integration/test_lent_networks.py",
    "promotion/test_crash.py",
    "training/test_teacher.py",
)
"""What takes longest, in the order in which it runs: at the end, no worker waits for one of these alone.

Those that share the trained pair stand together, so that one worker trains it.
"""


def rank(file: str) -> int:
    """When a file of tests has its turn, of ``FIRST``, the other integration, the other slow files and the rest."""
    if file in FIRST:
        return FIRST.index(file)
    return len(FIRST) + (0 if file.startswith("integration/") else 1 if file in SLOW else 2)
