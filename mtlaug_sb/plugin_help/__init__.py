"""What recipes/plugin.py tells about plugins, and the first versions of plugins that it writes."""
