"""Counting and access of the classifier wrapper."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rendered import Rendered

from cfbench.classifier import Classifier
from cfbench.errors import AccessDenied, InvalidParameter, MissingResource
from cfbench.needs import Needs
from cfbench.networks import VAE, PlainCNN
from cfbench.task import Task
from cfbench.view import MethodView


def make(*, gradients: bool = True) -> Classifier:
    network = PlainCNN(channels=1, classes=3, widths=(4, 4), depth=1, mean=(0.5,), std=(0.5,)).eval()
    return Classifier(network.requires_grad_(False), num_classes=3, gradients=gradients)


def test_counts_images_forwards_and_gradients_backwards() -> None:
    classifier = make()
    images = torch.rand(5, 1, 8, 8, requires_grad=True)
    classifier(images).sum().backward()
    classifier.outputs(images)[0][0].sum().backward()
    classifier.probabilities(torch.rand(3, 1, 8, 8))
    classifier.predict(torch.rand(2, 1, 8, 8))
    assert (classifier.counter.forwards, classifier.counter.backwards) == (15, 10)


def test_gradients_through_the_wrapper_are_the_networks() -> None:
    classifier = make()
    images = torch.rand(2, 1, 8, 8, requires_grad=True)
    (found,) = torch.autograd.grad(classifier(images)[:, 1].sum(), images)
    (expected,) = torch.autograd.grad(classifier.network(images)[:, 1].sum(), images)
    torch.testing.assert_close(found, expected)


def test_works_under_torch_func() -> None:
    classifier = make()
    images = torch.rand(4, 1, 8, 8)

    def score(image: torch.Tensor) -> torch.Tensor:
        return classifier(image[None])[0, 0]

    each = torch.func.vmap(torch.func.grad(score))(images)
    leaf = images.clone().requires_grad_()
    (expected,) = torch.autograd.grad(classifier(leaf)[:, 0].sum(), leaf)
    torch.testing.assert_close(each, expected)


def test_black_box_gives_no_gradient_and_no_layers() -> None:
    classifier = make(gradients=False)
    assert not classifier(torch.rand(1, 1, 8, 8, requires_grad=True)).requires_grad
    with pytest.raises(AccessDenied, match="gradients=True"):
        classifier.outputs(torch.rand(1, 1, 8, 8))
    with pytest.raises(AccessDenied, match="gradients=True"):
        _ = classifier.network


def test_an_image_without_batch_dimension_is_refused() -> None:
    with pytest.raises(InvalidParameter, match=r"\[B, C, H, W\], got \[1, 8, 8\]"):
        make()(torch.rand(1, 8, 8))


def test_the_view_hands_over_what_was_declared_and_refuses_the_rest(task: Task) -> None:
    bare = MethodView(task, Needs())
    with pytest.raises(AccessDenied, match="training_data=True"):
        bare.training_data()
    with pytest.raises(AccessDenied, match="networks="):
        bare.networks("vae")
    for judge in ("classifier", "oracle", "extractor", "autoencoder"):
        with pytest.raises(AccessDenied, match="never handed"):
            MethodView(task, Needs(networks=(judge,)))

    view = MethodView(task, Needs(training_data=True, networks=("vae",)))
    assert view.class_names == ("left", "middle", "right")
    assert view.attribute_names == ()
    assert len(view.training_data()) == 120
    vae = view.networks("vae")["vae"]
    assert isinstance(vae, VAE)
    vae.decode(torch.rand(7, vae.latent))
    assert view.counter.generated == 7


def test_the_renderer_is_handed_over_where_it_was_declared_and_is_there(task: Task, toy_folder: Path) -> None:
    rendered = Task(Rendered(toy_folder))
    with pytest.raises(AccessDenied, match=r"needs = Needs\(truth=True\)"):
        _ = MethodView(rendered, Needs(gradients=True, training_data=True)).truth
    assert MethodView(rendered, Needs(truth=True)).truth is Rendered.truth
    with pytest.raises(MissingResource, match=r"toy@v1 has no renderer .*; choose a synthetic task, such as shapes"):
        _ = MethodView(task, Needs(truth=True)).truth


def test_tracks_follow_from_needs() -> None:
    assert Needs().track == "data-free"
    assert Needs(training_data=True).track == "training-data"
    assert Needs(training_data=True, networks=("vae",)).track == "generator-based"
    assert Needs(gradients=True, networks=("loss-estimator", "duq")).track == "data-free", "heads generate nothing"
    assert (Needs(truth=True, networks=("vae",)).track, Needs(truth=True).access) == ("reference", "renderer")
    assert (Needs().access, Needs(gradients=True).access) == ("black-box", "white-box")
