"""First versions of plugins: of each kind a file that works, and its test, to be changed by whoever needs another one.

A module per kind holds the two as text, with ``__NAME__`` for the plugin's name and ``__CLASS__`` for its class.
"""
