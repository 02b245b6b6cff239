"""HierCon against its description: sizes, the three attentions, padding, what training sees."""

from __future__ import annotations

import pytest
import torch
from helpers import tiny_backbones

from forensics.networks.hiercon import AttentionPool, HierCon, HierConConfig, HierConHead, Refine

COMPACT = {"kind": "compact", "width": 32, "depth": 4, "stem": [4, 4, 4, 4], "heads": 2}


def config(**fields):
    return HierConConfig.model_validate({"backbone": COMPACT, **fields})


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def layer_outputs(depth, rows=2, steps=5, channels=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, steps, channels, generator=generator) for _ in range(depth)]


def head(channels=16, **fields):
    torch.manual_seed(0)
    return HierConHead(channels, config(attention=8, **fields)).eval()


def test_the_head_has_the_published_numbers_of_parameters():
    whole = HierConHead(1024, config())
    assert count(whole) == 3_853_186
    assert count(whole.projection) == 690_560
    assert count(HierConHead(1024, config(projection=False))) == 3_162_626
    assert count(AttentionPool(1024, 128)) == 133_376
    assert count(Refine(1024)) == 1_052_160
    assert count(whole.classifier) + count(whole.output) == 658_178


def test_attention_pools_the_normalised_rows_as_written():
    torch.manual_seed(0)
    pool = AttentionPool(6, 4)
    rows = torch.randn(2, 3, 6)
    pooled, weights = pool(rows)
    for clip, by_hand, shares in zip(rows, pooled, weights, strict=True):
        normal = (clip - clip.mean(1, keepdim=True)) / clip.var(
            1, unbiased=False, keepdim=True
        ).add(1e-5).sqrt()
        scores = torch.tanh(normal @ pool.hidden.weight.T + pool.hidden.bias)
        exponents = (scores @ pool.vector.weight[0]).exp()
        torch.testing.assert_close(shares, exponents / exponents.sum())
        torch.testing.assert_close(by_hand, (shares.unsqueeze(1) * normal).sum(0))


def reference(head, layers):
    """The description, step by step in loops, without masks: for depths that groups divide."""
    size = head.group_size
    summaries = [head.over_time(layer)[0] for layer in layers]
    groups = [summaries[i : i + size] for i in range(0, len(summaries), size)]
    vectors = []
    for group in groups:
        pooled, _ = head.in_group(torch.stack(group, dim=1))
        vectors.append(head.refine_group(pooled))
    utterance, _ = head.over_groups(torch.stack(vectors, dim=1))
    utterance = head.refine(utterance)
    logits = head.output.linear(head.classifier(utterance))
    return logits.log_softmax(dim=1)


def test_scores_are_those_of_the_description():
    ours, layers = head(), layer_outputs(6)
    log_probabilities = reference(ours, layers)
    described = ours(layers)
    torch.testing.assert_close(described.score, log_probabilities[:, 1] - log_probabilities[:, 0])
    torch.testing.assert_close(ours.output(described.embedding), described.score)


@pytest.mark.parametrize("depth", [1, 2, 4, 5, 7])
def test_a_group_that_is_not_full_is_pooled_over_what_it_has(depth):
    """Padding gets no weight at all, and the score is that of groups of uneven length."""
    ours, layers = head(), layer_outputs(depth)
    explained = ours.explain(layers)
    spoof, bonafide = reference(ours, layers).unbind(dim=1)
    torch.testing.assert_close(explained.score, bonafide - spoof)
    assert explained.layers.shape == (2, depth) and (explained.layers > 0).all()
    torch.testing.assert_close(explained.layers.sum(1), torch.ones(2))
    assert explained.layer_groups.shape == (2, -(-depth // 3))


def test_explanations_multiply_the_attentions():
    ours, layers = head(), layer_outputs(6)
    explained = ours.explain(layers)
    over_time = torch.stack([ours.over_time(layer)[1] for layer in layers], dim=1)
    torch.testing.assert_close(explained.attention, over_time)
    torch.testing.assert_close(explained.layer_groups, explained.layers.view(2, 2, 3).sum(2))
    by_hand = sum(explained.layers[:, i, None] * over_time[:, i] for i in range(6))
    torch.testing.assert_close(explained.time, by_hand)
    for share in (explained.time, explained.layers, explained.layer_groups):
        torch.testing.assert_close(share.sum(1), torch.ones(2))


def test_attention_follows_what_it_is_asked_for():
    ours, layers = head(), layer_outputs(6)
    pool = ours.over_time
    with torch.no_grad():  # attend to the first channel alone, strongly
        pool.hidden.weight.zero_()
        pool.hidden.bias.zero_()
        pool.hidden.weight[0, 0] = 1.0
        pool.vector.weight.zero_()
        pool.vector.weight[0, 0] = 50.0
    for layer in layers:
        layer[:, 3, 0] += 100.0
    time = ours.explain(layers).time
    assert (time.argmax(dim=1) == 3).all() and (time[:, 3] > 0.9).all()


def test_the_projection_is_for_training_only():
    ours, layers = head(), layer_outputs(6)
    assert ours(layers).projection is None
    assert ours.train()(layers).projection.shape == (2, 2)
    assert head(projection=False).train()(layers).projection is None


def test_a_cosine_output_is_a_cosine():
    ours, layers = head(output="cosine"), layer_outputs(6)
    described = ours(layers)
    unit = described.embedding / described.embedding.norm(dim=1, keepdim=True)
    direction = ours.output.direction / ours.output.direction.norm()
    torch.testing.assert_close(described.score, unit @ direction)


@pytest.mark.parametrize("kind", ["compact", "ssl"])
def test_the_network_scores_rows_by_themselves_on_any_backbone(kind, tmp_path):
    torch.manual_seed(0)
    backbone = COMPACT if kind == "compact" else {"kind": "ssl", "model": str(tmp_path)}
    tiny_backbones.save(tmp_path)
    network = HierCon(config(backbone=backbone)).eval()
    samples = tiny_backbones.noise(3, 8_000)
    with torch.inference_mode():
        together = network(samples)
        alone = torch.cat([network(row.unsqueeze(0)) for row in samples])
        explained = network.explain(samples)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(explained.score, together)
    assert explained.attention.shape == (3, 4, network.backbone.steps(8_000))
    assert together.std() > 1e-6


def test_one_batch_is_learnt():
    torch.manual_seed(0)
    network = HierCon(config())
    samples = tiny_backbones.noise(4, 8_000)
    samples[::2] = torch.cumsum(samples[::2], dim=1) * 0.1  # another colour
    wanted = torch.tensor([1.0, 0.0, 1.0, 0.0])
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(25):
        score = network.describe(samples).score
        loss = torch.nn.functional.binary_cross_entropy_with_logits(score, wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (network.eval()(samples) > 0).tolist() == [True, False, True, False]
