"""A worker of few lines: no cfbench, no torch."""

import sys

AMOUNT = float(sys.argv[1])


def explain(images, targets, noise):
    print("what a worker prints disturbs nobody")
    return (1 - AMOUNT) * images + AMOUNT * noise
