"""`make pilot`: a sample of conversations per DGM, and what the full run will take."""
