"""The strategy inside the loops of other libraries: Ray Tune's and Optuna's."""
