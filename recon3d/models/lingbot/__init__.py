"""LingBot-Map and its parts."""
