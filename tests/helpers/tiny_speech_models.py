"""Tiny neural speech models with random weights, built offline and saved as the hub has them.

Every `build_*` takes a folder that does not exist yet, or an empty one, and fills it.
"""

from __future__ import annotations

import json

import numpy as np
import torch
import transformers
import yaml

LETTERS = "abcdefghijklmnopqrstuvwxyz '"
HIFIGAN = {
    "upsample_initial_channel": 16,
    "upsample_rates": [4, 4, 4, 4],
    "upsample_kernel_sizes": [8, 8, 8, 8],
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1]],
    "initializer_range": 0.2,
}


def save(model, folder, extractor=None):
    """A model, and its feature extractor, as safetensors and JSON; the parameters that name it."""
    model.save_pretrained(folder)
    if extractor is not None:
        extractor.save_pretrained(folder)
    return {"model": str(folder)}


def letters_tokenizer(folder):
    """A character tokenizer: neither sentencepiece nor a phonemiser is needed."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    vocab = {"<pad>": 0, "<unk>": 1} | {c: i + 2 for i, c in enumerate(LETTERS)}
    raw = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    raw.normalizer = normalizers.Lowercase()
    raw.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)
    return len(vocab)


def build_hifigan(folder, family="SpeechT5HifiGan", mels=80):
    cls = getattr(transformers, family)
    config = cls.config_class(**HIFIGAN | {"model_in_dim": mels})
    return save(cls(config), folder)


def build_vits(folder, speakers=1):
    vocab = folder / "letters.json"
    folder.mkdir(exist_ok=True)
    vocab.write_text(json.dumps({c: i for i, c in enumerate("_" + LETTERS)}))
    tokenizer = transformers.VitsTokenizer(
        vocab, pad_token="_", unk_token="_", phonemize=False, add_blank=True
    )
    tokenizer.save_pretrained(folder)
    config = transformers.VitsConfig(
        vocab_size=len(LETTERS) + 1, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        ffn_dim=16, flow_size=16, spectrogram_bins=9, upsample_initial_channel=16,
        upsample_rates=[8, 8], upsample_kernel_sizes=[16, 16], resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1]], prior_encoder_num_flows=1,
        prior_encoder_num_wavenet_layers=1, posterior_encoder_num_wavenet_layers=1,
        duration_predictor_num_flows=1, duration_predictor_filter_channels=8,
        depth_separable_num_layers=1, num_speakers=speakers,
        speaker_embedding_size=8 if speakers > 1 else 0, initializer_range=0.3,
    )  # fmt: skip
    return save(transformers.VitsModel(config), folder)


def build_speecht5(folder):
    size = letters_tokenizer(folder)
    config = transformers.SpeechT5Config(
        vocab_size=size, hidden_size=16, encoder_layers=1, encoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_layers=1, decoder_ffn_dim=16, decoder_attention_heads=2,
        num_mel_bins=8, speech_decoder_prenet_units=16, speech_decoder_postnet_layers=2,
        speech_decoder_postnet_units=16, speaker_embedding_dim=6, max_text_positions=120,
        conv_dim=[8], conv_stride=[2], conv_kernel=[3], num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2, pad_token_id=0, initializer_range=0.3,
    )  # fmt: skip
    model = transformers.SpeechT5ForTextToSpeech(config)
    torch.nn.init.constant_(model.speech_decoder_postnet.prob_out.bias, -0.8)
    vectors = folder / "xvectors.npy"
    np.save(vectors, np.random.default_rng(0).standard_normal((4, 6)))
    vocoder = build_hifigan(folder / "vocoder", mels=8)["model"]
    return save(model, folder) | {"vocoder": vocoder, "speaker_embeddings": str(vectors)}


def build_fastspeech2(folder):
    size = letters_tokenizer(folder)
    acoustic = transformers.FastSpeech2ConformerConfig(
        hidden_size=16, vocab_size=size, num_mel_bins=8, encoder_layers=1, encoder_linear_units=16,
        decoder_layers=1, decoder_linear_units=16, speech_decoder_postnet_layers=2,
        speech_decoder_postnet_units=8, duration_predictor_channels=8, energy_predictor_channels=8,
        pitch_predictor_channels=8, pitch_predictor_layers=1, num_speakers=3,
    )  # fmt: skip
    vocoder = transformers.FastSpeech2ConformerHifiGanConfig(**HIFIGAN, model_in_dim=8)
    config = transformers.FastSpeech2ConformerWithHifiGanConfig(
        model_config=acoustic, vocoder_config=vocoder
    )
    model = transformers.FastSpeech2ConformerWithHifiGan(config)
    torch.nn.init.constant_(model.model.duration_predictor.linear.bias, 1.5)
    return save(model, folder)


def build_bark(folder):
    size = letters_tokenizer(folder)
    sub = {"num_layers": 1, "num_heads": 2, "hidden_size": 8, "block_size": 1024}
    codes = 16
    config = transformers.BarkConfig(
        semantic_config=sub | {"input_vocab_size": size + 120, "output_vocab_size": size + 120},
        coarse_acoustics_config=sub | {"input_vocab_size": 200, "output_vocab_size": 200},
        fine_acoustics_config=sub
        | {"input_vocab_size": codes + 1, "output_vocab_size": codes + 1, "n_codes_total": 8},
        codec_config={
            "model_type": "encodec",
            "hidden_size": 8,
            "num_filters": 2,
            "codebook_size": codes,
            "codebook_dim": 8,
            "num_lstm_layers": 1,
        },
    )
    model = transformers.BarkModel(config)
    for layer in model.codec_model.quantizer.layers:  # untrained codebooks are all zero
        torch.nn.init.normal_(layer.codebook.embed)
    save(model, folder)
    generation = bark_generation(codes).to_dict()
    (folder / "generation_config.json").write_text(json.dumps(generation, default=str))
    bark_presets(folder, codes)
    return {"model": str(folder)}


def bark_generation(codes):
    from transformers.models.bark.generation_configuration_bark import (
        BarkCoarseGenerationConfig,
        BarkFineGenerationConfig,
        BarkGenerationConfig,
        BarkSemanticGenerationConfig,
    )

    semantic = BarkSemanticGenerationConfig(
        eos_token_id=40, text_encoding_offset=45, text_pad_token=44, semantic_infer_token=43,
        semantic_vocab_size=40, max_new_tokens=24, max_input_semantic_length=256,
        semantic_rate_hz=49.9, do_sample=True, renormalize_logits=True,
    )  # fmt: skip
    coarse = BarkCoarseGenerationConfig(
        coarse_semantic_pad_token=120, coarse_infer_token=121, coarse_rate_hz=75,
        n_coarse_codebooks=2, max_coarse_history=60, max_coarse_input_length=32,
        sliding_window_len=30, do_sample=True, renormalize_logits=True,
    )  # fmt: skip
    fine = BarkFineGenerationConfig(max_fine_history_length=64, max_fine_input_length=128)
    return BarkGenerationConfig.from_sub_model_configs(
        semantic, coarse, fine, sample_rate=24_000, codebook_size=codes
    )


def bark_presets(folder, codes):
    paths = {"repo_or_path": "elsewhere"}
    rng = np.random.default_rng(0)
    for name in ("v2/en_speaker_0", "v2/en_speaker_1", "v2/de_speaker_0"):
        shapes = {"semantic_prompt": (40, 12), "coarse_prompt": (codes, (2, 18))}
        shapes["fine_prompt"] = (codes, (8, 18))
        paths[name] = {}
        for part, (high, shape) in shapes.items():
            file = folder / "speaker_embeddings" / f"{name}_{part}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, rng.integers(0, high, shape))
            paths[name][part] = str(file.relative_to(folder))
    (folder / "speaker_embeddings_path.json").write_text(json.dumps(paths))


def build_univnet(folder):
    config = transformers.UnivNetConfig(
        model_in_channels=4, model_hidden_channels=4, num_mel_bins=20, resblock_kernel_sizes=[3],
        resblock_stride_sizes=[256], resblock_dilation_sizes=[[1]], kernel_predictor_num_blocks=1,
        kernel_predictor_hidden_channels=4, initializer_range=0.2,
    )  # fmt: skip
    extractor = transformers.UnivNetFeatureExtractor(num_mel_bins=20, model_in_channels=4)
    return save(transformers.UnivNetModel(config), folder, extractor)


def build_encodec(folder, channels=1):
    config = transformers.EncodecConfig(
        target_bandwidths=[1.5, 3.0], hidden_size=8, num_filters=2, codebook_size=1024,
        num_lstm_layers=1, audio_channels=channels, normalize=channels == 2,
        chunk_length_s=0.5 if channels == 2 else None, overlap=0.01 if channels == 2 else None,
        norm_type="time_group_norm" if channels == 2 else "weight_norm",
        use_causal_conv=channels == 1,
    )  # fmt: skip
    model = transformers.EncodecModel(config)
    for layer in model.quantizer.layers:  # untrained codebooks are all zero
        torch.nn.init.normal_(layer.codebook.embed)
    extractor = transformers.EncodecFeatureExtractor(
        feature_size=channels, chunk_length_s=config.chunk_length_s, overlap=config.overlap
    )
    return save(model, folder, extractor)


def build_dac(folder):
    config = transformers.DacConfig(
        encoder_hidden_size=4, downsampling_ratios=[2, 4, 8], decoder_hidden_size=32,
        upsampling_ratios=[8, 4, 2], n_codebooks=3, codebook_size=16, codebook_dim=4,
    )  # fmt: skip
    return save(
        transformers.DacModel(config), folder, transformers.DacFeatureExtractor(hop_length=64)
    )


def build_mimi(folder):
    config = transformers.MimiConfig(
        hidden_size=16, num_filters=2, codebook_size=16, codebook_dim=8, num_quantizers=4,
        vector_quantization_hidden_dimension=8, num_hidden_layers=1, intermediate_size=16,
        num_attention_heads=2, num_key_value_heads=2, head_dim=8, upsample_groups=16,
    )  # fmt: skip
    model = transformers.MimiModel(config)
    for name, buffer in model.named_buffers():
        if name.endswith("embed_sum"):
            torch.nn.init.normal_(buffer)
    return save(model, folder, transformers.EncodecFeatureExtractor())


def vocos_config():
    return {
        "feature_extractor": {
            "class_path": "vocos.feature_extractors.MelSpectrogramFeatures",
            "init_args": {"sample_rate": 24_000, "n_fft": 512, "hop_length": 128, "n_mels": 20},
        },
        "backbone": {
            "class_path": "vocos.models.VocosBackbone",
            "init_args": {
                "input_channels": 20, "dim": 16, "intermediate_dim": 16, "num_layers": 1,
            },
        },
        "head": {
            "class_path": "vocos.heads.ISTFTHead",
            "init_args": {"dim": 16, "n_fft": 512, "hop_length": 128, "padding": "center"},
        },
    }  # fmt: skip


def build_vocos(folder):
    from safetensors.torch import save_file
    from vocos import Vocos

    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(vocos_config()))
    model = Vocos.from_hparams(str(folder / "config.yaml"))
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "a.safetensors")
    return {"model": str(folder)}
