"""Show the status of all tasks in a browser: server-rendered pages without scripts and without other hosts."""
