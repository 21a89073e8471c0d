"""The torch network: from batches to emissions and losses (layer 3)."""
