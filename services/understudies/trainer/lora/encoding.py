"""Encode examples with the base's tokenizer and chat template, and arrange them as packed rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from understudies.trainer.lora.job import TextExample
from understudies.trainer.lora.packing import Row


class TemplateError(Exception):
    """Report a chat template whose answers cannot be told from their prompts."""


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """Token ids of a prompt, and of the answer up to the token that ends it."""

    prompt: list[int]
    answer: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True, slots=True)
class PackedRows:
    """Rows of packed examples: each attends to its own and the shared tokens alone, and only answers have labels."""

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    """(rows, 1, length, length): whether a token attends to another."""
    labelled: torch.Tensor
    """(rows, length): the positions whose next token belongs to an answer."""
    labels: torch.Tensor
    """The next tokens of the labelled positions, row by row."""
    owners: torch.Tensor
    """The example of each label."""

    def to(self, device: torch.device) -> "PackedRows":
        """Return the rows on a device."""
        parts = (self.ids, self.positions, self.mask, self.labelled, self.labels, self.owners)
        return PackedRows(*(part.to(device) for part in parts))


def encode_example(tokenizer: Any, example: TextExample) -> EncodedExample:
    """Encode an example; prompt and answer apart, as the prompt stands alone when the student answers.

    Raises TemplateError if the template does not render the answer behind the prompt, with a token that ends it.
    """
    prompt = tokenizer.apply_chat_template(example.turns, add_generation_prompt=True, tokenize=False)
    answered = [*example.turns, {"role": "assistant", "content": example.answer}]
    whole = tokenizer.apply_chat_template(answered, tokenize=False)
    if not whole.startswith(prompt):
        raise TemplateError("the base's chat template changes the prompt once there is an answer")
    answer = tokenizer(whole[len(prompt) :], add_special_tokens=False)["input_ids"]
    if tokenizer.eos_token_id not in answer:
        raise TemplateError(f"the base's chat template does not end an answer with {tokenizer.eos_token!r}")
    end = len(answer) - answer[::-1].index(tokenizer.eos_token_id)
    return EncodedExample(tokenizer(prompt, add_special_tokens=False)["input_ids"], answer[:end])


def shared_tokens(examples: Sequence[EncodedExample]) -> int:
    """Return with how many tokens all prompts begin; at least one token of each prompt is its own."""
    prompts = [example.prompt for example in examples]
    if not prompts:
        return 0
    # What the first and the last in order have in common, all between them have.
    least, greatest = min(prompts), max(prompts)
    pairs = zip(least, greatest, strict=False)
    common = next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(least), len(greatest)))
    return min(common, *(len(prompt) - 1 for prompt in prompts))


def pack_rows(examples: Sequence[EncodedExample], rows: Sequence[Row], pad: int, shared: int = 0) -> PackedRows:
    """Arrange examples in rows; a padding token attends to itself and to the shared tokens alone.

    The first `shared` tokens of all examples, such as a system prompt, stand once in a row: what they compute to does
    not depend on what follows them, and each example attends to them as to its own.
    """
    length = shared + max(sum(len(examples[index]) - shared for index in row) for row in rows)
    shape = (len(rows), length)
    ids, positions = torch.full(shape, pad), torch.zeros(shape, dtype=torch.long)
    # Numbers each example of a row; padding has none in common with anything.
    members = torch.arange(length).neg().sub(1).repeat(len(rows), 1)
    labelled, owner = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, :shared] = torch.tensor(examples[row[0]].prompt[:shared])
        positions[number, :shared] = torch.arange(shared)
        start = shared
        for index in row:
            example = examples[index]
            end, answer = start + len(example) - shared, start + len(example.prompt) - shared
            ids[number, start:end] = torch.tensor((example.prompt + example.answer)[shared:])
            positions[number, start:end] = torch.arange(shared, len(example))
            members[number, start:end] = index
            labelled[number, answer - 1 : end - 1] = True
            owner[number, start:end] = index
            start = end
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    is_seen = members[:, :, None] == members[:, None, :]
    is_seen[:, :, :shared] = True
    mask = is_seen & causal
    following = ids.roll(-1, dims=1)
    return PackedRows(ids, positions, mask[:, None], labelled, following[labelled], owner[labelled])
