"""Floor 2: readers and writers of corpus files; a reader streams ``Sentence`` after ``Sentence``."""
