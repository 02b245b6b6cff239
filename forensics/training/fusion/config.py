"""What shapes a fusion: the YAML of `configs/` with `task: fusion`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class FusionConfig(BaseModel):
    """Everything that shapes the weights, but the corpus.

    Attributes:
        parts: image detectors by name, in the order in which they are listed.
        weights: part → its weights folder, for those that need one; copied into the bundle.
        split: whose pictures the fusion is fitted on; no part may have been trained on them.
        leave_out: systems, or kinds of editors, that the fusion is not fitted on; the report says
            how they fare on the other split.
        penalty: of squared weights, over the mean loss of an item; higher trusts parts less.
        folds: of the cross-validation by group whose scores calibration and thresholds are from.
        target_fpr, target_fnr: error rates that the thresholds aim at.
        vouch_below_eer: above that error on the hardest system nothing is called bona fide.
        limits: what the detector is known not to do, in words that go with every verdict.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Literal["fusion"] = "fusion"
    parts: tuple[str, ...] = Field(min_length=1)
    weights: dict[str, str] = {}
    split: Literal["dev", "test"] = "dev"
    leave_out: tuple[str, ...] = ()
    penalty: float = Field(default=0.02, gt=0)
    folds: int = Field(default=5, ge=2)
    target_fpr: float = Field(default=0.02, gt=0, lt=1)
    target_fnr: float = Field(default=0.05, gt=0, lt=1)
    vouch_below_eer: float = Field(default=0.25, gt=0, lt=1)
    limits: str = ""
    licence: str = "Apache-2.0"

    @model_validator(mode="after")
    def _fits(self) -> FusionConfig:
        if len(set(self.parts)) < len(self.parts):
            raise ValueError("a part is named twice")
        if stray := sorted(set(self.weights) - set(self.parts)):
            raise ValueError(f"weights for {stray[0]}, which is no part")
        return self
