"""The table as HAProxy's configuration."""
