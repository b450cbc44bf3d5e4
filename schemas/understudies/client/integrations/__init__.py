"""Record the calls that a framework's own callbacks tell of; each module imports its framework when it is used."""
