"""Which frames of a video to look at: evenly spread, or moving and sharp."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from forensics.media.raw import ByteSource, RawFile
from forensics.media.video_frames import VideoFrame, VideoFrames, VideoLimits

_LIMITS = VideoLimits()
_SAMPLED = 400  # frames that are compared, at most
_COMPARED_SIDE = 320  # pixels: scores are taken at this longest side
_BLURRED = 0.5  # of the median sharpness: below it a frame is taken only if its part has no other


def evenly(
    source: ByteSource | RawFile, count: int, limits: VideoLimits = _LIMITS
) -> Iterator[VideoFrame]:
    """At most `count` frames in order, each from the middle of its part of the video.

    Raises:
        MissingRequirement, MediaError: see `VideoFrames`.
    """
    with VideoFrames(source, limits) as video:
        yield from video.take(spread(video.frame_count, count))


def pick_frames(
    source: ByteSource | RawFile,
    count: int,
    limits: VideoLimits = _LIMITS,
    sampled: int = _SAMPLED,
) -> Iterator[VideoFrame]:
    """At most `count` frames in order: of each part of the video, of `count` equal ones, the frame
    that moves and is sharp.

    Motion is the mean difference from the frame sampled before it, sharpness the variance of the
    Laplacian, both of the grey picture at a reduced size; the ranks of the two among all the
    sampled frames are added. At most `sampled` frames, evenly spread, are compared. Two passes over
    the video; what they hold does not grow with it.

    Raises:
        MissingRequirement, MediaError: see `VideoFrames`.
    """
    with VideoFrames(source, limits) as video:
        indices, motion, sharpness = _measured(video, spread(video.frame_count, sampled))
        yield from video.take(_best_of_parts(indices, motion, sharpness, count, video.frame_count))


def spread(total: int, count: int) -> list[int]:
    """At most `count` of the numbers 0 to `total` - 1, from the middles of equal parts."""
    if count >= total:
        return list(range(total))
    return [int((place + 0.5) * total / count) for place in range(count)]


def _measured(video: VideoFrames, indices: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number, motion and sharpness of each sampled frame."""
    import cv2

    rows: list[tuple[int, float, float]] = []
    before: np.ndarray | None = None
    for frame in video.take(indices):
        grey = _reduced_grey(frame.pixels)
        motion = 0.0
        if before is not None and before.shape == grey.shape:
            motion = float(np.mean(cv2.absdiff(grey, before)))
        rows.append((frame.index, motion, float(cv2.Laplacian(grey, cv2.CV_32F).var())))
        before = grey
    found = np.array(rows).reshape(-1, 3)
    return found[:, 0].astype(int), found[:, 1], found[:, 2]


def _reduced_grey(pixels: np.ndarray) -> np.ndarray:
    import cv2

    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    factor = _COMPARED_SIDE / max(grey.shape)
    if factor >= 1:
        return grey
    return cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def _best_of_parts(
    indices: np.ndarray, motion: np.ndarray, sharpness: np.ndarray, count: int, total: int
) -> list[int]:
    score = _ranks(motion) + _ranks(sharpness)
    score[sharpness < _BLURRED * np.median(sharpness)] -= 2 * len(indices)
    part = indices * count // total
    best = []
    for place in np.unique(part):
        (members,) = np.nonzero(part == place)
        best.append(int(indices[members[score[members].argmax()]]))
    return best


def _ranks(values: np.ndarray) -> np.ndarray:
    """0 for the smallest; equal values share a rank, so that noise decides nothing."""
    return np.searchsorted(np.sort(values), values).astype(float)
