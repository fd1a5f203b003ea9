"""The conversation: turns, history, the cascade, tools and usage, and one small file for each provider."""
