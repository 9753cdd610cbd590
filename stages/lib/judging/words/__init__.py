"""The words of judgments: terms, exact paired tests, and tables of the words that differ (paper, Fig. 3 and 4)."""
