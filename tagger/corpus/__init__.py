"""Layer 2: readers and writers of corpus files. Readers stream ``Sentence`` objects."""
