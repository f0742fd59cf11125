"""History computed beside the live pipeline, in a namespace of its own, into the same stores."""
