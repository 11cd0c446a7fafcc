"""The table as Envoy's configuration."""
