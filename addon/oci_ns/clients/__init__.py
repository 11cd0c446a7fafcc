"""What has to be written so that a client uses ns-inject, and whether it does."""
