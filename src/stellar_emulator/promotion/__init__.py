"""From a decision to what serves: lock, trail of decisions, champion pointer, repair. Knows MLflow, no statistics."""
