"""Floor 5: the command line. Each command is a thin parser over functions of lower floors."""
