"""What is here, what is missing or broken, and what mends it: `make doctor`. Starts with any Python from 3.9."""
