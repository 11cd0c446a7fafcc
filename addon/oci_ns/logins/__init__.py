"""Who may pull: challenges, logins and tokens."""
