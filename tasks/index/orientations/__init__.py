"""Match patterns with a crystal, refine its orientation, and decide how sure it is."""
