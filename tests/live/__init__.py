"""One and the same conversation with every service there is an account at: ``make test-live``."""
