"""Tiny diffusers pipelines with random weights, built offline and saved as the hub has them.

`build(family, folder)` fills a folder with one of `FAMILIES`. All have real tokenizers (byte-level
alphabets without merges) and tiny text encoders, so that words can be given to them.
"""

from __future__ import annotations

import json

import diffusers
import torch
import transformers
from tokenizers import pre_tokenizers

BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip


def clip_tokenizer(folder):
    names = [*BYTES, *(b + "</w>" for b in BYTES), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    vocab, merges = folder / "vocab.json", folder / "merges.txt"
    vocab.write_text(json.dumps({name: i for i, name in enumerate(names)}))
    merges.write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer(str(vocab), str(merges), model_max_length=77)


def clip_text(projection=None):
    config = transformers.CLIPTextConfig(
        vocab_size=len(BYTES) * 2 + 2, hidden_size=32, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=4, projection_dim=projection or 32, max_position_embeddings=77,
        bos_token_id=len(BYTES) * 2, eos_token_id=len(BYTES) * 2 + 1, pad_token_id=1,
    )  # fmt: skip
    cls = transformers.CLIPTextModelWithProjection if projection else transformers.CLIPTextModel
    return cls(config).eval()


def t5(width=32):
    from tokenizers import Tokenizer, decoders, models

    names = ["<pad>", "</s>", "<unk>", *BYTES]
    raw = Tokenizer(models.Unigram([(name, -1.0) for name in names], unk_id=2))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel()
    raw.decoder = decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
        model_max_length=512,
    )  # fmt: skip
    config = transformers.T5Config(
        vocab_size=len(names), d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=4
    )
    return tokenizer, transformers.T5EncoderModel(config).eval()


def qwen_tokenizer(folder):
    folder.mkdir(parents=True)
    vocab, merges = folder / "vocab.json", folder / "merges.txt"
    vocab.write_text(json.dumps({name: i for i, name in enumerate([*BYTES, *SPECIAL])}))
    merges.write_text("#version: 0.2\n")
    tokenizer = transformers.Qwen2Tokenizer(
        str(vocab), str(merges), extra_special_tokens=list(SPECIAL[1:])
    )
    tokenizer.chat_template = CHAT
    return tokenizer


def qwen3(layers=2):
    config = transformers.Qwen3Config(
        vocab_size=len(BYTES) + len(SPECIAL), hidden_size=16, intermediate_size=16, head_dim=8,
        num_hidden_layers=layers, num_attention_heads=2, num_key_value_heads=2,
    )  # fmt: skip
    return config


def vae(latent=4, cls=diffusers.AutoencoderKL, **more):
    return cls(
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=latent, layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        **more,
    ).eval()  # fmt: skip


def unet(channels, width=32, **more):
    return diffusers.UNet2DConditionModel(
        in_channels=channels, out_channels=4, block_out_channels=(8, 16), norm_num_groups=4,
        layers_per_block=1, cross_attention_dim=width, attention_head_dim=4, sample_size=32,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), **more,
    ).eval()  # fmt: skip


def xl_unet(channels):
    return unet(
        channels, width=64, addition_embed_type="text_time", addition_time_embed_dim=8,
        transformer_layers_per_block=1, use_linear_projection=True,
        projection_class_embeddings_input_dim=32 + 6 * 8,
    )  # fmt: skip


def flow():
    return diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)


def ddim():
    return diffusers.DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1)


def stable_diffusion(work, name, channels):
    return getattr(diffusers, name)(
        vae=vae(), text_encoder=clip_text(), tokenizer=clip_tokenizer(work / "a"),
        unet=unet(channels), scheduler=ddim(), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip


def stable_diffusion_xl(work, name, channels):
    return getattr(diffusers, name)(
        vae=vae(), text_encoder=clip_text(), text_encoder_2=clip_text(32),
        tokenizer=clip_tokenizer(work / "a"), tokenizer_2=clip_tokenizer(work / "b"),
        unet=xl_unet(channels), scheduler=ddim(),
    )  # fmt: skip


def stable_diffusion_3(work, name):
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=32, patch_size=2, in_channels=16, num_layers=1, attention_head_dim=8,
        num_attention_heads=4, caption_projection_dim=32, joint_attention_dim=64,
        pooled_projection_dim=64, out_channels=16,
    )  # fmt: skip
    tokenizer, encoder = t5(64)
    return getattr(diffusers, name)(
        transformer=transformer, scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=vae(16, shift_factor=0.0), text_encoder=clip_text(32), text_encoder_2=clip_text(32),
        tokenizer=clip_tokenizer(work / "a"), tokenizer_2=clip_tokenizer(work / "b"),
        text_encoder_3=encoder, tokenizer_3=tokenizer,
    )  # fmt: skip


def flux(work, name, latent=1, packed=4):
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1, in_channels=packed, out_channels=latent * 4, num_layers=1,
        num_single_layers=1, attention_head_dim=16, num_attention_heads=2, joint_attention_dim=32,
        pooled_projection_dim=32, axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    tokenizer, encoder = t5()
    return getattr(diffusers, name)(
        transformer=transformer, scheduler=flow(), vae=vae(latent, shift_factor=0.0),
        text_encoder=clip_text(), tokenizer=clip_tokenizer(work / "a"), text_encoder_2=encoder,
        tokenizer_2=tokenizer,
    )  # fmt: skip


def flux2(work, name):
    transformer = diffusers.Flux2Transformer2DModel(
        patch_size=1, in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=48, timestep_guidance_channels=32,
        axes_dims_rope=(4, 4, 4, 4), guidance_embeds=False,
    )  # fmt: skip
    return getattr(diffusers, name)(
        transformer=transformer, scheduler=flow(),
        vae=vae(1, diffusers.AutoencoderKLFlux2, sample_size=32, use_quant_conv=False,
                use_post_quant_conv=False),
        text_encoder=transformers.Qwen3ForCausalLM(qwen3(28)).eval(),
        tokenizer=qwen_tokenizer(work / "a"),
    )  # fmt: skip


def z_image(work, name):
    transformer = diffusers.ZImageTransformer2DModel(
        all_patch_size=(2,), all_f_patch_size=(1,), in_channels=4, dim=32, n_layers=1,
        n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=16, axes_dims=[4, 6, 6],
        axes_lens=[1536, 512, 512],
    )  # fmt: skip
    return getattr(diffusers, name)(
        transformer=transformer, scheduler=flow(), vae=vae(4, shift_factor=0.0),
        text_encoder=transformers.Qwen3Model(qwen3()).eval(), tokenizer=qwen_tokenizer(work / "a"),
    )  # fmt: skip


def qwen_image(work, name):
    tokenizer = qwen_tokenizer(work / "a")
    ids = {token: i for i, token in enumerate([*BYTES, *SPECIAL])}
    text = dict(  # noqa: C408
        vocab_size=len(ids), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2,
        rope_parameters={"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4},
    )  # fmt: skip
    vision = dict(  # noqa: C408
        depth=1, hidden_size=16, intermediate_size=16, num_heads=2, out_hidden_size=16,
        fullatt_block_indexes=[0],
    )  # fmt: skip
    config = transformers.Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"], vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    parts = dict(  # noqa: C408
        transformer=diffusers.QwenImageTransformer2DModel(
            patch_size=2, in_channels=16, out_channels=4, num_layers=1, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=16, axes_dims_rope=(4, 4, 8),
        ),
        vae=diffusers.AutoencoderKLQwenImage(
            base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
            temperal_downsample=[False, True, True],
            latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
        ).eval(),
        text_encoder=transformers.Qwen2_5_VLForConditionalGeneration(config).eval(),
        tokenizer=tokenizer, scheduler=flow(),
    )  # fmt: skip
    if "Edit" in name:
        parts["processor"] = transformers.Qwen2VLProcessor(
            image_processor=transformers.Qwen2VLImageProcessor(max_pixels=56 * 56 * 4),
            tokenizer=tokenizer,
            video_processor=transformers.Qwen2VLVideoProcessor(),
            chat_template=CHAT,
        )
    return getattr(diffusers, name)(**parts)


def ip_adapter(folder, channels=(8, 16), width=32, seen=16):
    """An IP-Adapter with random weights for `unet`, as a folder with its image encoder."""
    from safetensors.torch import save_file

    torch.manual_seed(2)
    whole = unet(4, width)
    layers = [name for name in whole.attn_processors if name.endswith("attn2.processor")]
    spread = {"down_blocks.1": channels[1], "mid_block": channels[1], "up_blocks.0": channels[1]}
    state = {
        "image_proj.proj.weight": torch.randn(4 * width, seen) * 0.1,
        "image_proj.proj.bias": torch.zeros(4 * width),
        "image_proj.norm.weight": torch.ones(width),
        "image_proj.norm.bias": torch.zeros(width),
    }
    for number, name in enumerate(layers):
        inner = next(size for start, size in spread.items() if name.startswith(start))
        for part in ("to_k_ip", "to_v_ip"):
            key = f"ip_adapter.{2 * number + 1}.{part}.weight"
            state[key] = torch.randn(inner, width)
    (folder / "models").mkdir(parents=True)
    save_file(state, folder / "models" / "tiny.safetensors")
    config = transformers.CLIPVisionConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4,
        image_size=28, patch_size=7, projection_dim=seen,
    )  # fmt: skip
    encoder = transformers.CLIPVisionModelWithProjection(config).eval()
    encoder.save_pretrained(folder / "models" / "image_encoder")
    return {
        "adapter": str(folder),
        "adapter_file": "models/tiny.safetensors",
        "adapter_scale": 1.0,
    }


FAMILIES = {
    "sd-words": lambda work: stable_diffusion(work, "StableDiffusionPipeline", 4),
    "sd": lambda work: stable_diffusion(work, "StableDiffusionInpaintPipeline", 9),
    "sd-4": lambda work: stable_diffusion(work, "StableDiffusionInpaintPipeline", 4),
    "sdxl": lambda work: stable_diffusion_xl(work, "StableDiffusionXLInpaintPipeline", 9),
    "sd3": lambda work: stable_diffusion_3(work, "StableDiffusion3InpaintPipeline"),
    "flux-fill": lambda work: flux(work, "FluxFillPipeline", 2, 32),
    "flux": lambda work: flux(work, "FluxInpaintPipeline"),
    "kontext": lambda work: flux(work, "FluxKontextPipeline"),
    "kontext-inpaint": lambda work: flux(work, "FluxKontextInpaintPipeline"),
    "klein": lambda work: flux2(work, "Flux2KleinPipeline"),
    "klein-inpaint": lambda work: flux2(work, "Flux2KleinInpaintPipeline"),
    "qwen-inpaint": lambda work: qwen_image(work, "QwenImageInpaintPipeline"),
    "qwen-edit": lambda work: qwen_image(work, "QwenImageEditPipeline"),
    "qwen-edit-plus": lambda work: qwen_image(work, "QwenImageEditPlusPipeline"),
    "qwen-edit-inpaint": lambda work: qwen_image(work, "QwenImageEditInpaintPipeline"),
    "z-image": lambda work: z_image(work, "ZImageInpaintPipeline"),
    "pix2pix": lambda work: stable_diffusion(work, "StableDiffusionInstructPix2PixPipeline", 8),
    "pix2pix-xl": lambda work: stable_diffusion_xl(
        work, "StableDiffusionXLInstructPix2PixPipeline", 8
    ),
}  # fmt: skip


def build(family, folder, **saved):
    """Save one of `FAMILIES` into `folder`; the parameters that name it."""
    torch.manual_seed(1)
    pipe = FAMILIES[family](folder.parent / f"{folder.name}-parts")
    pipe.save_pretrained(folder, **saved)
    return {"weights": str(folder)}
