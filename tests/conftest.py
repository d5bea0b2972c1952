"""Fixtures that every test may ask for; each lives in the module of its topic."""

pytest_plugins = ["tests.support.git_servers", "tests.support.postgres", "tests.support.s3_server"]
