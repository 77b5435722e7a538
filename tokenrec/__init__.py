"""tokenrec: turn LLM text into ranking lift that you can prove."""

import os

__version__ = "0.1.0"

# Threads that wait for their turn should sleep: spinning ones cost six times the work itself on a busy machine
# (XGBoost, measured). OpenMP reads this once, when the first of sklearn, torch and xgboost is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
