"""Whether a grid obeys its data contract: summaries, expectations, verdict."""
