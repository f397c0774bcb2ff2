"""Runs the trainer's preprocessing on files: `trainer.py FOLDER MODEL [--with FILE]`, in its environment.

FOLDER has a folder of files for each case, with `window.txt`. Prints, as its last line, what became of each:
rows that were kept of training and validation, or how it failed. Where the folder has `learned.txt`, also
what of the first row is learned: its text, an ellipsis for what is not.
"""

import argparse
import contextlib
import io
import json
import logging
import sys
import types
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

MODELS = "models"
_LONGEST_MESSAGE = 160
_IGNORED = -100  # label of a token that is not learned


def main() -> None:
    """Do as the module says."""
    folder, model = Path(sys.argv[1]), sys.argv[2]
    if model == "--make-models":
        from models import make_models

        make_models(folder / MODELS, Path(sys.argv[3]))
        return
    preprocess = _import_preprocess()
    outcomes = {}
    needed = sys.argv[4] if sys.argv[3:4] == ["--with"] else ""
    for case in sorted((folder / "cases").iterdir()):
        if not (case / needed).exists():
            continue
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            outcomes[case.name] = _outcome(preprocess, case, folder / MODELS / model)
    print(json.dumps(outcomes))


def _import_preprocess() -> Any:
    # The trainer imports ONNX Runtime's trainers, which no run uses unless `apply_ort` is set, and whose pin
    # does not import beside this torch.
    onnx = types.ModuleType("optimum.onnxruntime")
    for name in ("ORTTrainer", "ORTSeq2SeqTrainer", "ORTTrainingArguments"):
        setattr(onnx, name, type(name, (), {}))
    sys.modules["optimum.onnxruntime"] = onnx
    from azureml.acft.contrib.hf.nlp.entry_point.finetune import preprocess

    logging.disable(logging.CRITICAL)
    return preprocess


def _outcome(preprocess: Any, case: Path, model: Path) -> dict[str, Any]:
    with TemporaryDirectory() as output:
        arguments = [
            *("--task_name", "ChatCompletion", "--model_selector_output", str(model), "--output_dir", output),
            *("--max_seq_length", (case / "window.txt").read_text()),
        ]
        for file in sorted(case.glob("*.jsonl")):
            arguments += [f"--{file.stem}_file_path", str(file)]
        known, others = preprocess.get_parser().parse_known_args(arguments)
        try:
            preprocess.pre_process(argparse.Namespace(**vars(known)), others)
        except Exception as error:
            return {"fails": _first_words(error, case)}
        saved = json.loads((Path(output) / "preprocess_args.json").read_text())
        encoded = {
            split: Path(output) / saved[f"encoded_{split}_data_fname"] for split in ("train", "validation")
        }
        outcome: dict[str, Any] = {split: _count(path) for split, path in encoded.items()}
        if (case / "learned.txt").exists():
            outcome["learned"] = _learned(encoded["train"], model / model.name)
        return outcome


def _learned(encoded: Path, model: Path) -> str:
    """The text of a split's first row, less what is not learned of it."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    with encoded.open() as file:
        row = next(json.loads(line) for line in file if line.strip())
    pieces: list[list[int]] = [[]]
    for token, label in zip(row["input_ids"], row["labels"], strict=True):
        if label == _IGNORED:
            pieces.append([])
        else:
            pieces[-1].append(token)
    return " … ".join(tokenizer.decode(piece) for piece in pieces if piece)


def _first_words(error: Exception, case: Path) -> str:
    """What it says, shortened, without the paths of this machine."""
    lines = [line.strip() for line in str(error).replace(f"{case}/", "").splitlines()]
    told = [line.partition("Message:")[2].strip() for line in lines if "Message:" in line]
    message = next(filter(None, told or lines), "")
    return f"{type(error).__name__}: {message}"[:_LONGEST_MESSAGE]


def _count(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())


if __name__ == "__main__":
    main()
