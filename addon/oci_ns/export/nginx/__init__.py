"""The table as nginx's configuration."""
