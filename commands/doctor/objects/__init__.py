"""Objects of DVC's cache and remote: which are torn or missing, by stage and file, and how they are mended."""
