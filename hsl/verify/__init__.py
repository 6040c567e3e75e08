"""Building blocks of the tools that check: traffic, random programs, judges, long runs, replay files."""
