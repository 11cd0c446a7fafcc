"""A table of decisions, and the configurations of nginx, HAProxy and Envoy that do the same without Python."""
