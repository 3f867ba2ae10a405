"""Entry points of the MLflow project, run as ``python -m pipelines VERB`` from the checkout.

They use the sources beside them. The environment that ``mlflow run --env-manager uv`` or conda makes from conda.yaml
holds the dependencies alone: it is shared by all checkouts, so none of them may be installed into it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
