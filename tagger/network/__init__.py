"""Floor 3: the torch network, from batches to emissions and losses."""
