"""xGEM of the bex package, in an environment of its own: run by ``cfbench.external.Worker``, see adapter.py."""

import sys

import numpy as np
import torch
from bex.explainers import Xgem

CLASSIFIER, VAE = (torch.jit.load(path) for path in sys.argv[1:3])
STEPS, RATE, PROXIMITY = int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])


def explain(images, targets, seeds):
    """One image at a time, because bex draws its start for a batch as a whole."""
    return np.concatenate([_explain(*each) for each in zip(images[:, None], targets, seeds, strict=True)])


def _explain(image, target, seed):
    def odds(images):
        """The logit of the target against all other classes: bex knows two classes."""
        logits = CLASSIFIER(images)
        others = torch.ones(logits.shape[1], dtype=torch.bool)
        others[target] = False
        return logits[:, [target]] - logits[:, others].logsumexp(1, keepdim=True)

    torch.manual_seed(int(seed))
    image = torch.from_numpy(image)
    explainer = Xgem(num_explanations=1, lr=RATE, num_iters=STEPS, reconstruction_weight=PROXIMITY)
    with torch.no_grad():
        code = VAE.encode(image)
        start = odds(VAE.decode(code))
    found = explainer.explain_batch(code, start, image, odds, VAE.decode)
    with torch.no_grad():
        return VAE.decode(found[:, 0]).numpy()
