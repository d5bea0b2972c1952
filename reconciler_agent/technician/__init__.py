"""What a technician asks on the spot: read-only, beside a running agent, without a network, on a broken state too."""
