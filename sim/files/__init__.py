"""Files: what users hand us is read with suspicion, and what we leave appears whole or not at all."""
