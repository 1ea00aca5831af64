"""A thousand rules at once, measured beside a peer."""
