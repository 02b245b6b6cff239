"""HierCon's forward pass and training step, ours beside a straightforward eager implementation.

    python benchmarks/hiercon.py --preset xlsr --batch 8 --device cuda
    python benchmarks/hiercon.py --preset compact --batch 16 --threads 2

Same weights and windows, in one run, turn by turn. The eager one attends by softmax(QK)V, stacks
the outputs of all layers and pools them as they are described, group by group, as author code does.
Its scores are asserted equal to ours. Weights are random: nothing is read or fetched.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from machine import machine, table
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.networks.compact_backbone import CompactBackbone
from forensics.networks.hiercon import AttentionPool, HierCon, HierConConfig, HierConHead
from forensics.networks.ssl_backbone import SslBackbone

_WAV2VEC2: dict[str, Any] = {
    "model_type": "wav2vec2",
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
}
PRESETS: dict[str, dict[str, Any]] = {
    "compact": {"kind": "compact"},
    "tiny": {
        "kind": "ssl",
        "transformers": _WAV2VEC2
        | {
            "hidden_size": 64,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "intermediate_size": 128,
            "conv_dim": [32] * 7,
        },
    },
    "xlsr": {  # the sizes of XLS-R-300M
        "kind": "ssl",
        "transformers": _WAV2VEC2
        | {
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
        },
    },
}
TOLERANCE = 1e-3  # of scores, float32


class EagerHierCon(nn.Module):
    """The same weights, computed in the plainest way."""

    def __init__(self, network: HierCon):
        super().__init__()
        self.backbone = copy.deepcopy(network.backbone)
        self.head = copy.deepcopy(network.head)
        if isinstance(self.backbone, SslBackbone):
            self.backbone.model.set_attn_implementation("eager")
        elif isinstance(self.backbone, CompactBackbone):
            for layer in self.backbone.layers:
                layer._attended = _plain_attention(layer)  # pyright: ignore

    def forward(self, samples: Tensor) -> Tensor:
        stack = torch.stack(self.backbone(samples), dim=1)
        rows, depth, steps, channels = stack.shape
        head: HierConHead = self.head
        summaries = _pooled(head.over_time, stack.reshape(rows * depth, steps, channels))
        summaries = summaries.view(rows, depth, channels)
        groups = [
            head.refine_group(_pooled(head.in_group, summaries[:, i : i + head.group_size]))
            for i in range(0, depth, head.group_size)
        ]
        utterance = head.refine(_pooled(head.over_groups, torch.stack(groups, dim=1)))
        return head.output(head.classifier(utterance))


def _pooled(pool: AttentionPool, rows: Tensor) -> Tensor:
    rows = pool.norm(rows)
    weights = pool.vector(torch.tanh(pool.hidden(rows))).softmax(dim=1)
    return (weights * rows).sum(dim=1)


def _plain_attention(layer: Any) -> Callable[[Tensor], Tensor]:
    def attended(x: Tensor) -> Tensor:
        rows, steps, width = x.shape
        qkv = layer.qkv(x).view(rows, steps, 3, layer.heads, width // layer.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(2, 3) / (width // layer.heads) ** 0.5).softmax(dim=-1)
        weights = F.dropout(weights, layer.dropout, layer.training)
        return layer.out((weights @ value).transpose(1, 2).reshape(rows, steps, width))

    return attended


def scores(network: nn.Module, samples: Tensor, autocast: bool) -> Tensor:
    with torch.autocast(samples.device.type, torch.bfloat16, enabled=autocast):
        return network(samples).float()


def step(network: nn.Module, samples: Tensor, autocast: bool) -> None:
    network.zero_grad(set_to_none=True)
    scores(network, samples, autocast).square().mean().backward()


def timed(work: Callable[[], Any], device: torch.device) -> tuple[float, float]:
    """Seconds, and the peak of GPU memory in MiB (0 on a CPU)."""
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if on_gpu:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    return seconds, torch.cuda.max_memory_allocated() / 2**20 if on_gpu else 0.0


def measure(arguments: argparse.Namespace) -> list[dict[str, object]]:
    device = torch.device(arguments.device)
    torch.manual_seed(0)
    config = HierConConfig.model_validate({"backbone": PRESETS[arguments.preset]})
    ours = HierCon(config).to(device).eval()
    eager = EagerHierCon(ours).to(device).eval()
    window = 0.1 * torch.randn(arguments.batch, arguments.samples, device=device)
    with torch.inference_mode():
        wanted = scores(eager, window, autocast=False)
        apart = (scores(ours, window, autocast=False) - wanted).abs().max().item()
        assert apart <= TOLERANCE, f"scores differ by {apart}"
    runs: dict[str, tuple[nn.Module, bool]] = {
        "eager, float32": (eager, False),
        "ours, float32": (ours, False),
    }
    if arguments.autocast:
        runs |= {"eager, bf16": (eager, True), "ours, bf16": (ours, True)}
    found: dict[str, list[list[tuple[float, float]]]] = {name: [[], []] for name in runs}
    for turn in range(arguments.rounds + 1):
        for name, (network, autocast) in runs.items():
            network.eval()
            with torch.inference_mode():
                forward = timed(lambda n=network, a=autocast: scores(n, window, a), device)
            network.train()
            training = timed(lambda n=network, a=autocast: step(n, window, a), device)
            network.zero_grad(set_to_none=True)
            if turn:  # the first warms up
                found[name][0].append(forward)
                found[name][1].append(training)
    rows: list[dict[str, object]] = []
    for name, (network, autocast) in runs.items():
        with torch.inference_mode():
            off = (scores(network.eval(), window, autocast) - wanted).abs().max().item()
        forward, training = found[name]
        row: dict[str, object] = {
            "HierCon": name,
            "forward, s": statistics.median(s for s, _ in forward),
            "training step, s": statistics.median(s for s, _ in training),
            "largest difference of a score": off,
        }
        if device.type == "cuda":
            row["peak of a step, MiB"] = round(max(peak for _, peak in training))
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="compact")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--samples", type=int, default=64_600)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--autocast", action="store_true", help="also in bf16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    rows = measure(arguments)
    where = machine()
    if arguments.device != "cpu":
        where += f", {torch.cuda.get_device_name(arguments.device)}"
    about = f"{arguments.preset}, batch {arguments.batch} of {arguments.samples} samples"
    if arguments.json:
        print(json.dumps({"machine": where, "what": about, "rows": rows}))
    else:
        print(f"{where}\n{about}; medians of {arguments.rounds}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
