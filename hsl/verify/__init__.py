"""Building blocks of the tools that check: traffic that knows what must arrive, and long runs of it."""
