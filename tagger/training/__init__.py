"""Training: encoded splits, the training loop, runs and checkpoints (layer 5).

``run`` owns a run. It reads the data (``preparation``), finds a run to resume (``resume``, ``checkpoint``),
iterates over the records of ``loop`` and passes them to ``run_folder`` (model, metrics, curves, checkpoint)
and ``events`` (TensorBoard). ``progress`` is the state that a checkpoint saves.
"""
