"""What stands in for the official docker plugin, and programs that the local cloud's engine starts."""
