"""`neopro demo`: a control plane and six boxes on this machine, from nothing to converged."""
