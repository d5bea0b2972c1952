"""`make bench`: ours beside a floor measured in the same run. No assertion here: figures, for people to judge."""
