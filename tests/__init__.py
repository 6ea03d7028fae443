"""The tests, and the benchmark. What several of them share stands in modules without test_."""
