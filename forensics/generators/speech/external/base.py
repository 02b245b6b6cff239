"""Runs one engine of another environment as a program: arguments in, a wav file out."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import numpy as np
from pydantic import Field

from forensics.errors import ForensicsError, UsageError
from forensics.generators.base import (
    Generated,
    GeneratorParams,
    SpeechGenerator,
    SpeechRequest,
)
from forensics.generators.speech.common import each, primary_language, spoken_text
from forensics.media.audio import Waveform, encode, read_audio
from forensics.requirements import Requirement, RequirementKind

_RUNNER = Path(__file__).resolve().parent / "runner"
LAUNCH, DRIVE = str(_RUNNER / "launch.py"), str(_RUNNER / "drive.py")
_PROBE = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"


class EngineError(ForensicsError):
    """One utterance that an outside program did not make; the text is the same on every run."""

    exit_code = 3


class ExternalParams(GeneratorParams):
    """Parameters of every engine of another environment.

    Attributes:
        python: how that environment's Python is started, e.g. `["/opt/xtts/bin/python"]` or
            `["conda", "run", "-n", "xtts", "python"]`. Empty: this Python, for an engine that is
            installed beside us.
        repo: for engines without an installer, the folder of their clone.
        gpu: the program's CUDA_VISIBLE_DEVICES; empty: it runs on the CPU.
        threads: its CPU threads, fixed because the samples' last bits depend on them.
        timeout_s: seconds per utterance until it is killed, loading included.
    """

    python: tuple[str, ...] = ()
    repo: str | None = None
    gpu: str = ""
    threads: int = Field(default=1, ge=1)
    timeout_s: float = Field(default=900.0, gt=0)


P = TypeVar("P", bound=ExternalParams)


@dataclass(frozen=True)
class ModuleIn:
    """A module that another environment's Python can find (this one's, when none is named)."""

    python: tuple[str, ...]
    module: str
    install: str
    repo: str | None = None
    kind: RequirementKind = "package"

    def missing(self) -> str | None:
        try:
            found = self._found()
        except FileNotFoundError:
            return f"program {self.python[0]!r} (parameter 'python') is not there"
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{' '.join(self.python)} (parameter 'python') does not run: {error}"
        if found:
            return None
        whose = " ".join(self.python) or "this Python (parameter 'python')"
        return f"module {self.module!r} is not installed for {whose}"

    def fix(self) -> str:
        return f"in an environment of its own: {self.install}; and set 'python' to its Python"

    def _found(self) -> bool:
        top = self.module.partition(".")[0]
        if self.python:
            done = subprocess.run(
                [*self.python, "-c", _PROBE, self.module],
                capture_output=True,
                timeout=60,
                env=os.environ | _search_path(self.repo),
            )
            return done.returncode == 0
        cloned = [] if self.repo is None else list(Path(self.repo).expanduser().glob(f"{top}*"))
        return bool(cloned) or importlib.util.find_spec(top) is not None


@dataclass(frozen=True)
class Job:
    """What one run is given.

    Attributes:
        request: the text is cleaned to one line.
        language: primary subtag, e.g. "en".
        folder: empty, and the working directory.
        inputs: holds `reference.wav` alone.
        out: the one wav file that is written here is the result.
    """

    request: SpeechRequest
    text: str
    language: str
    folder: Path

    @property
    def inputs(self) -> Path:
        return self.folder / "in"

    @property
    def reference(self) -> Path:
        return self.inputs / "reference.wav"

    @property
    def out(self) -> Path:
        return self.folder / "out"


class ExternalGenerator(SpeechGenerator, Generic[P]):
    """Base of engines that run in an environment of their own, one process per utterance.

    Subclasses give the commands. Each is run by `python` through a launcher that seeds Python's,
    numpy's and torch's generators first, so that engines without a seed repeat themselves; the
    hub clients are told to stay offline. The environment is the user's own: what it loads,
    pickles included, is loaded there.
    """

    version = "1"
    module: ClassVar[str]
    install: ClassVar[str]
    languages: ClassVar[frozenset[str] | None] = None
    clones: ClassVar[bool] = True
    Params: ClassVar[type[GeneratorParams]] = ExternalParams
    params: P

    @abstractmethod
    def commands(self, job: Job) -> list[list[str]]:
        """What the Python is given, in order: `-m module …` or `file …`."""

    @abstractmethod
    def weights(self) -> tuple[Requirement, ...]:
        """The files that the user must name."""

    def weight_files(self) -> list[Path]:
        """Files and folders that the output depends on."""
        return []

    def reference_rate(self) -> int | None:
        """Hz that the engine wants its reference at; None: as it is."""
        return None

    def requirements(self) -> tuple[Requirement, ...]:
        params = self.params
        module = ModuleIn(params.python, self.module, self.install, params.repo)
        return (module, *self.weights())

    def fingerprint(self) -> str:
        return "-".join((self.version, *(_digest(path) for path in self.weight_files())))

    def generate(self, batch: Sequence[SpeechRequest]) -> list[Generated | Exception]:
        return each(batch, self._one)

    def _one(self, request: SpeechRequest) -> Generated:
        self._refuse(request)
        text = spoken_text(request) if self.kind == "tts" else ""
        with tempfile.TemporaryDirectory(prefix="forensics-") as name:
            job = Job(request, text, primary_language(request.language), Path(name).resolve())
            self._lay_out(job)
            for command in self.commands(job):
                self._run(job, command)
            wave = self._result(job)
        if self.kind == "tts" or request.reference is None:
            return Generated(wave)
        count = len(request.reference.resampled(wave.sampling_rate).samples)
        kept = wave.samples[:count]
        return Generated(Waveform(np.pad(kept, (0, count - len(kept))), wave.sampling_rate))

    def _refuse(self, request: SpeechRequest) -> None:
        if request.reference is None and (self.kind != "tts" or self.clones):
            raise UsageError(f"{request.key}: {self.name} needs a reference recording", "give one")
        language = primary_language(request.language)
        if self.kind == "tts" and self.languages is not None and language not in self.languages:
            raise UsageError(
                f"{request.key}: {self.name} does not speak {request.language!r}",
                f"it speaks {', '.join(sorted(self.languages))}",
            )

    def _lay_out(self, job: Job) -> None:
        job.inputs.mkdir()
        job.out.mkdir()
        reference = job.request.reference
        if reference is not None:
            rate = self.reference_rate() or reference.sampling_rate
            job.reference.write_bytes(encode(reference.resampled(rate), "wav"))

    def _run(self, job: Job, command: list[str]) -> None:
        params = self.params
        argv = [*(params.python or (sys.executable,)), LAUNCH, str(job.request.seed), *command]
        threads = str(params.threads)
        environment = os.environ | _search_path(params.repo) | {
            "CUDA_VISIBLE_DEVICES": params.gpu,
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
        }  # fmt: skip
        log = job.folder / "stderr.txt"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                cwd=job.folder,
                env=environment,
                start_new_session=True,
            )
            try:
                status = process.wait(params.timeout_s)
            except subprocess.TimeoutExpired as error:
                raise EngineError(
                    f"{self.name} took longer than {params.timeout_s:g} s",
                    "shorten the text or raise 'timeout_s'",
                ) from error
            finally:
                _end(process)
        if status != 0:
            said = _last_line(log).replace(str(job.folder), "<job>")
            raise EngineError(f"{self.name} ended with status {status}: {said}")

    def _result(self, job: Job) -> Waveform:
        found = sorted(job.out.glob("*.wav"))
        if len(found) != 1:
            raise EngineError(f"{self.name} wrote {len(found)} wav files where one was expected")
        return read_audio(found[0])


def _search_path(repo: str | None) -> dict[str, str]:
    return {} if repo is None else {"PYTHONPATH": str(Path(repo).expanduser().resolve())}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program that still runs, and what it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last_line(log: Path) -> str:
    """The last line with text; progress bars end theirs with a carriage return."""
    text = log.read_bytes()[-20_000:].decode(errors="replace").replace("\r", "\n")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing on standard error"


def _digest(path: Path) -> str:
    """SHA-256 (16 hex digits) over a file, or over the names and bytes of a folder's files."""
    total = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        total.update(file.relative_to(path).as_posix().encode() + b"\0")
        with file.open("rb") as handle:
            total.update(hashlib.file_digest(handle, "sha256").digest())
    return total.hexdigest()[:16]
