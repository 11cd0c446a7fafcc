"""`ns-inject serve`: the addon on a lean runner, in one process or several."""
