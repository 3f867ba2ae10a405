"""Models as people use them: found by name, loaded, ready to answer."""
