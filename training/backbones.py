"""Where the vector that the heads read comes from, for each kind of backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from prefmodel.errors import BundleError


class OneStepClassifier(PreTrainedModel):  # type: ignore[no-untyped-call]
    """An encoder-decoder that classifies by one step of its decoder, which is given the start token alone.

    The transformers classifiers of this kind feed the whole text to the decoder too, and want the text to end in one
    certain token. One step costs little beyond the encoder. Source: RankT5, arXiv 2210.10634, section 4.2.

    Args:
        config: of an encoder-decoder, with `num_labels` and `decoder_start_token_id`; without the latter, the token
            for padding starts, as in T5.

    >>> from transformers import T5Config
    >>> config = T5Config(vocab_size=9, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, num_labels=1)
    >>> net = OneStepClassifier(config)
    >>> net(torch.ones(2, 5, dtype=torch.long), torch.ones(2, 5, dtype=torch.long)).shape
    torch.Size([2, 1])
    """

    base_model_prefix = "model"
    # The backbone says what it cannot do when it is made.
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True

    def __init__(self, config: Any):
        super().__init__(config)
        self.model = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
        self.score = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return logits, float [batch, labels]; both inputs are int64 [batch, tokens]."""
        hidden = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            decoder_input_ids=torch.full_like(input_ids[:, :1], self._start()),
            use_cache=False,
        ).last_hidden_state
        logits: Tensor = self.score(hidden[:, 0])
        return logits

    def _start(self) -> int:
        start = getattr(self.config, "decoder_start_token_id", None)
        return int(self.config.pad_token_id if start is None else start)


def load_classifier(base: str | Path) -> tuple[Any, set[str]]:
    """Load a model with a linear layer of one output, and return it with the names of its weights that the base lacks.

    An encoder-decoder becomes a `OneStepClassifier`, everything else its family's own classifier.

    Args:
        base: a folder, or the name of a model on the Hub.

    Raises:
        BundleError: a decoder has layers between its last token and that layer.
        Exception: of transformers, of safetensors or of the Hub, which share no base.
    """
    config = AutoConfig.from_pretrained(str(base), num_labels=1, trust_remote_code=False)
    loader: Any = OneStepClassifier if config.is_encoder_decoder else AutoModelForSequenceClassification
    model, report = loader.from_pretrained(str(base), config=config, dtype=torch.float32, output_loading_info=True)
    if is_decoder(config):
        decoder_head(model)
    return model, set(report["missing_keys"])


def new_classifier(folder: str | Path) -> Any:
    """Return a model like `load_classifier`'s, of the shape that a folder's config.json says, with random weights.

    Raises:
        BundleError: a decoder has layers between its last token and the linear layer.
        Exception: of transformers, whose kinds share no base.
    """
    config = AutoConfig.from_pretrained(str(folder), num_labels=1, trust_remote_code=False)
    if config.is_encoder_decoder:
        return OneStepClassifier(config)
    family: Any = AutoModelForSequenceClassification  # transformers has no types
    model = family.from_config(config, trust_remote_code=False)
    if is_decoder(config):
        decoder_head(model)
    return model


def logits(classifier: Any, inputs: dict[str, Tensor]) -> Tensor:
    """Return what the last layer of a classifier gives, float [batch, outputs].

    In an encoder the family's own pooling goes before that layer. In a decoder it is the last token that the attention
    mask has; the transformers classifiers take the last one that is not `pad_token_id`, which is another where text
    ends in that token, or where another one pads.

    Args:
        classifier: see `load_classifier`; the last layer may have any number of outputs.
        inputs: int64 [batch, tokens] by name: `input_ids`, `attention_mask` and, for some, `token_type_ids`.
    """
    found: Tensor
    if isinstance(classifier, OneStepClassifier):
        found = classifier(**inputs)
    elif is_decoder(classifier.config):
        hidden = classifier.base_model(**inputs, use_cache=False).last_hidden_state
        found = decoder_head(classifier)(last_token(hidden, inputs["attention_mask"]))
    else:
        found = classifier(**inputs).logits
    return found


def layer_stacks(classifier: Any) -> list[str]:
    """Return the names of the lists of as many modules as the configuration has layers: one, but for rare families.

    >>> from transformers import BertConfig, BertForSequenceClassification
    >>> config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=3, num_attention_heads=2)
    >>> layer_stacks(BertForSequenceClassification(config))
    ['bert.encoder.layer']
    """
    has = getattr(classifier.config, "num_hidden_layers", None)
    return [name for name, m in classifier.named_modules() if isinstance(m, nn.ModuleList) and len(m) == has]


def is_decoder(config: Any) -> bool:
    """Return whether tokens see only those before them: the family predicts the next token, never a masked one."""
    return type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and type(config) not in MODEL_FOR_MASKED_LM_MAPPING


def decoder_head(classifier: Any) -> Any:
    """Return the layer behind a decoder; raise BundleError when there are other layers beside it."""
    parts = dict(classifier.named_children())
    parts.pop(classifier.base_model_prefix, None)
    if len(parts) != 1:
        raise BundleError(f"{type(classifier).__name__} has {sorted(parts)} behind its decoder; allowed: one layer")
    return next(iter(parts.values()))


def last_token(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the vector of the last token of each row that the mask has, float [batch, width].

    Args:
        hidden: float [batch, tokens, width].
        attention_mask: int64 [batch, tokens], 1 for what is no padding; each row has at least one.

    >>> last_token(torch.tensor([[[1.0], [2.0], [3.0]]]), torch.tensor([[1, 1, 0]]))
    tensor([[2.]])
    """
    positions = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    last = (attention_mask * positions).argmax(1)
    return hidden.gather(1, last[:, None, None].expand(-1, 1, hidden.shape[2])).squeeze(1)
