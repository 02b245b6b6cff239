"""Loading a pipeline and calling it: which arguments, decided by its signature."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Set
from pathlib import Path
from typing import Any, Literal

import numpy as np

from forensics.errors import MachineError, MissingRequirement, UsageError
from forensics.generators.image.diffusers_params import PipelineParams
from forensics.generators.image.diffusers_prompts import Words
from forensics.generators.image.diffusers_weights import read_index
from forensics.generators.image.diffusers_window import Grid
from forensics.generators.image.requests import CannotEdit

Takes = Literal["mask", "picture", "words"]
"""What a pipeline is given: a picture and a mask, a picture, or words alone."""

_NATIVE = 1024  # the size of every model since SDXL; older ones say theirs
_DIVISOR = 8  # SD, SDXL and their kin check it, whatever their VAE
_WITH_MASK = {
    "StableDiffusionPipeline": "StableDiffusionInpaintPipeline",
    "StableDiffusionXLPipeline": "StableDiffusionXLInpaintPipeline",
    "StableDiffusion3Pipeline": "StableDiffusion3InpaintPipeline",
    "FluxPipeline": "FluxInpaintPipeline",
    "FluxKontextPipeline": "FluxKontextInpaintPipeline",
    "Flux2KleinPipeline": "Flux2KleinInpaintPipeline",
    "QwenImagePipeline": "QwenImageInpaintPipeline",
    "QwenImageEditPipeline": "QwenImageEditInpaintPipeline",
    "ZImagePipeline": "ZImageInpaintPipeline",
}
"""Class in a hub folder → the class that inpaints with the same parts."""

_ALSO_WORDS = ("FluxKontextPipeline", "Flux2Pipeline", "Flux2KleinPipeline")
"""Classes that take a picture, and do without."""

_SETTINGS = {
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "true_cfg": "true_cfg_scale",
    "image_guidance": "image_guidance_scale",
    "strength": "strength",
    "negative_prompt": "negative_prompt",
}
"""Our parameter → the argument of a pipeline."""


class Pipeline:
    """A loaded pipeline that makes one picture at a time.

    Args:
        folder: checked by `PipelineWeights`.
        takes: what it must take.

    Raises:
        UsageError: the class is not one of diffusers, does not work in this way, or has no such
            argument as the user set.
        MissingRequirement: there is no such device, or the folder is not complete.
    """

    def __init__(self, folder: Path, params: PipelineParams, takes: Takes):
        self._params = params
        cls = _class(folder, params.pipeline, takes)
        self.name: str = cls.__name__
        self._arguments: Set[str] = inspect.signature(cls.__call__).parameters.keys()
        _check_arguments(self.name, self._arguments, params, takes)
        self._pipe = _loaded(cls, folder, params)
        self.grid = _grid(self._pipe)

    def __call__(
        self, pixels: np.ndarray, mask: np.ndarray | None, words: Words, seed: int
    ) -> np.ndarray:
        """uint8 (h, w, 3), bool (h, w) → uint8 (h', w', 3): some pipelines choose the size.

        Raises:
            CannotEdit: it refuses the request, returned no picture, or its safety checker blacked
                that out.
            MachineError: the memory is too small.
        """
        from PIL import Image

        given = self._given((pixels.shape[1], pixels.shape[0]), words, seed)
        given["image"] = Image.fromarray(pixels)
        if mask is not None:
            given["mask_image"] = Image.fromarray(mask.astype(np.uint8) * 255)
        if "max_area" in self._arguments:  # Kontext else goes to a megapixel of another aspect
            given |= {"max_area": pixels.shape[0] * pixels.shape[1], "_auto_resize": False}
        return self._made(given)

    def paint(
        self, size: tuple[int, int], words: Words, seed: int, reference: np.ndarray | None = None
    ) -> np.ndarray:
        """A new picture of (width, height) from words, as `__call__`.

        Args:
            reference: uint8 (h, w, 3): what an adapter that was loaded looks at.
        """
        from PIL import Image

        given = self._given(size, words, seed)
        if reference is not None:
            given["ip_adapter_image"] = Image.fromarray(reference)
        return self._made(given)

    def adapt(self, folder: Path, file: str, image_encoder: str, scale: float) -> None:
        """Load an IP-Adapter (Ye et al. 2023), by which pictures guide what is made.

        Args:
            folder: of the adapter; file: safetensors in it; image_encoder: folder in it.
            scale: how much the picture counts against the words.

        Raises:
            UsageError: this pipeline takes none, or not this one.
        """
        loader = getattr(self._pipe, "load_ip_adapter", None)
        known = loader and "image_encoder_folder" in inspect.signature(loader).parameters
        if loader is None or not known or "ip_adapter_image" not in self._arguments:
            raise UsageError(
                f"{self.name} takes no IP-Adapter", "use one of Stable Diffusion's kin"
            )
        from safetensors import SafetensorError

        place, _, name = file.rpartition("/")
        inside = image_encoder if "/" in image_encoder else f"./{image_encoder}"
        try:
            loader(
                str(folder), subfolder=place, weight_name=name, image_encoder_folder=inside,
                local_files_only=True, low_cpu_mem_usage=False,
            )  # fmt: skip
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            why = str(error).partition("\n")[0]
            raise UsageError(
                f"{name} is no IP-Adapter for {self.name}: {why}", "get the one for this model"
            ) from error
        self._pipe.set_ip_adapter_scale(scale)

    def _made(self, given: dict[str, Any]) -> np.ndarray:
        import torch

        try:
            # Offloading moves weights during the call, which tensors of inference mode forbid.
            with torch.inference_mode(False), torch.no_grad():
                result = self._pipe(**given)
        except torch.OutOfMemoryError as error:
            raise MachineError(
                f"{self.name} does not fit into the memory of {self._params.device}",
                "set dtype bfloat16, offload model or layer, or a smaller size",
            ) from error
        except ValueError as error:  # what pipelines raise when they check their arguments
            why = str(error).partition("\n")[0]
            raise CannotEdit(f"{self.name} refuses the request", f"it says: {why}") from error
        return _picture(self.name, result)

    def _given(self, size: tuple[int, int], words: Words, seed: int) -> dict[str, Any]:
        import torch

        given: dict[str, Any] = {
            "prompt": words.prompt,
            "generator": torch.Generator("cpu").manual_seed(seed),
            "output_type": "np",
        }
        if "negative_prompt" in self._arguments:
            given["negative_prompt"] = words.negative
        if "height" in self._arguments:
            given |= {"height": size[1], "width": size[0]}
        for ours, theirs in _SETTINGS.items():
            value = getattr(self._params, ours)
            if value is not None and theirs in self._arguments:
                given[theirs] = value
        return given


def _class(folder: Path, named: str | None, takes: Takes) -> Any:
    import diffusers
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

    found: str = read_index(folder)["_class_name"]
    wanted = named or (_WITH_MASK.get(found, found) if takes == "mask" else found)
    cls = getattr(diffusers, wanted, None)
    if not isinstance(cls, type) or not issubclass(cls, DiffusionPipeline):
        raise UsageError(
            f"diffusers {diffusers.__version__} has no pipeline {wanted}",
            "pip install -U diffusers, or set 'pipeline' to a class that it has",
        )
    if cls._load_connected_pipes:
        raise UsageError(
            f"{wanted} would load other repositories besides {folder.name}",
            "set 'pipeline' to a class that is complete in its folder",
        )
    return cls


def _check_arguments(name: str, arguments: Set[str], params: PipelineParams, takes: Takes) -> None:
    if not {"prompt", "generator", "output_type"} <= arguments:
        raise UsageError(f"{name} reads no words", "set 'pipeline' or 'weights'")
    if takes == "words":
        if "image" in arguments and name not in _ALSO_WORDS:
            raise UsageError(
                f"{name} wants a picture", "set 'pipeline' to a class that paints from words alone"
            )
    elif "image" not in arguments:
        raise UsageError(f"{name} does not edit a picture by words", "set 'pipeline' or 'weights'")
    if takes == "mask" and "mask_image" not in arguments:
        raise UsageError(f"{name} takes no mask", "set 'pipeline', or use diffusers-instruct")
    if takes == "picture" and "mask_image" in arguments:
        raise UsageError(f"{name} wants a mask", "set 'pipeline', or use diffusers-inpaint")
    for ours in params.model_fields_set & _SETTINGS.keys():
        if getattr(params, ours) is not None and _SETTINGS[ours] not in arguments:
            raise UsageError(f"{name} has no {_SETTINGS[ours]}", f"leave {ours!r} out")


def _loaded(cls: Any, folder: Path, params: PipelineParams) -> Any:
    import torch
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    device = _device(params.device)
    absent = [name for name, entry in read_index(folder).items() if entry == [None, None]]
    optional = set(inspect.signature(cls.__init__).parameters)
    bars = (diffusers_logging, transformers_logging)
    for bar in bars:
        bar.disable_progress_bar()
    try:
        with warnings.catch_warnings():  # `torch_dtype` is the name that 0.40 knows, too
            warnings.simplefilter("ignore", FutureWarning)
            pipe = cls.from_pretrained(
                str(folder),
                torch_dtype=getattr(torch, params.dtype),
                variant=params.variant,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                **{name: None for name in absent if name in optional},
            )
    except (OSError, ValueError) as error:
        why = str(error).partition("\n")[0]
        raise MissingRequirement(
            f"{folder.name} cannot be loaded as {cls.__name__}: {why}",
            "check 'variant' and 'pipeline', or get the pipeline again",
        ) from error
    finally:
        for bar in bars:
            bar.enable_progress_bar()
    pipe.set_progress_bar_config(disable=True)
    if params.offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif params.offload == "layer":
        pipe.enable_sequential_cpu_offload(device=device)
    else:
        pipe.to(device)
    return pipe


def _device(name: str) -> Any:
    import torch

    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"there is no device {name!r}", "use cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise MissingRequirement("torch finds no CUDA device", "use the device cpu")
    return device


def _grid(pipe: Any) -> Grid:
    scale = int(getattr(pipe, "vae_scale_factor", 8))
    unet = getattr(pipe, "unet", None)
    if unet is None:  # transformers take 2x2 latents as one token
        native = int(getattr(pipe, "default_sample_size", _NATIVE // scale)) * scale
        return Grid(math.lcm(2 * scale, _DIVISOR), 2 * scale, native)
    sample = unet.config.sample_size
    native = sample * scale if isinstance(sample, int) else _NATIVE
    # The deepest level halves once per level: other sizes lose a row at its skip connections.
    multiple = scale * 2 ** (len(unet.config.block_out_channels) - 1)
    return Grid(math.lcm(multiple, _DIVISOR), scale, native)


def _picture(name: str, result: Any) -> np.ndarray:
    images = getattr(result, "images", None)
    if images is None or len(images) == 0:
        raise CannotEdit(f"{name} returned no picture", "set 'pipeline' to one that edits images")
    if any(getattr(result, "nsfw_content_detected", None) or ()):
        raise CannotEdit(
            f"the safety checker of {name} blacked the picture out", "choose another frame or plan"
        )
    made = np.asarray(images[0])
    if made.ndim != 3 or made.shape[2] != 3 or not made.size:
        raise CannotEdit(f"{name} returned no RGB picture", "set 'pipeline' to one that does")
    if not np.isfinite(made).all():
        raise CannotEdit(
            f"{name} returned pixels that are no numbers", "set dtype float32 or bfloat16"
        )
    return np.rint(np.clip(made, 0, 1) * 255).astype(np.uint8)
