"""What Prometheus is told: the metrics of the fleet and of this process, and the rules and the dashboard made for them.

`neopro_fleet_…` is read from the database that all control planes share, so it is the same from each of them: take the
greatest (`max without (instance)`). Every other metric counts what this very process did: add them up.
"""
