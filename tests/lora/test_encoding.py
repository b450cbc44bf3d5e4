from pathlib import Path
from typing import Any

import pytest
import torch

from understudies.trainer.lora.encoding import EncodedExample, TemplateError, encode_example, pack_rows, shared_tokens
from understudies.trainer.lora.job import TextExample, TrainingJob
from understudies.trainer.lora.model import AdaptedModel
from understudies.trainer.lora.settings import LoraTrainingSettings

TEXTS = [
    TextExample(turns=[{"role": "user", "content": text}], answer=answer)
    for text, answer in (("order one", "1"), ("order number two please", "two!"), ("three", "3 3"), ("x", "yes yes"))
]


@pytest.fixture(scope="module")
def model(base_folder: Path) -> AdaptedModel:
    settings = LoraTrainingSettings(rank=4, threads=1, precision="float32")
    made = AdaptedModel(TrainingJob(weights=base_folder, base_name="tiny", judge="exact", seed=3, settings=settings))
    with torch.no_grad():
        for one in made.trained.values():
            one.normal_(0, 0.2)
    return made


def test_the_answer_and_the_token_that_ends_it_are_learned_and_nothing_else(model: AdaptedModel) -> None:
    encoded = encode_example(model.tokenizer, TEXTS[1])
    assert model.tokenizer.decode(encoded.answer) == "two!<|im_end|>"
    assert model.tokenizer.decode(encoded.prompt).endswith("please<|im_end|>\n<|im_start|>assistant\n")
    rows = pack_rows([encoded], [[0]], model.pad)
    assert rows.labels.tolist() == encoded.answer
    assert rows.labelled.nonzero()[:, 1].tolist() == list(range(len(encoded.prompt) - 1, len(encoded) - 1))


@pytest.mark.parametrize("is_shared", [False, True], ids=["whole", "shared beginning"])
def test_packed_examples_have_the_loss_and_the_gradients_that_they_have_alone(
    model: AdaptedModel, is_shared: bool
) -> None:
    encoded = [encode_example(model.tokenizer, text) for text in TEXTS]
    shared = shared_tokens(encoded) if is_shared else 0
    packed = pack_rows(encoded, [[0, 1, 3], [2]], model.pad, shared)

    def outcome(parts: list[Any]) -> tuple[float, list[torch.Tensor]]:
        model.peft.zero_grad()
        losses = [model.loss(part) for part in parts]
        torch.stack(losses).sum().backward()
        return sum(loss.item() for loss in losses), [
            one.grad.clone() for one in model.trained.values() if one.grad is not None
        ]

    together, gradients = outcome([packed])
    alone, expected = outcome([pack_rows([one], [[0]], model.pad) for one in encoded])
    assert together == pytest.approx(alone, rel=1e-5)
    for one, other in zip(gradients, expected, strict=True):
        assert (one - other).norm() <= 1e-3 * other.norm()


def test_the_beginning_of_all_prompts_stands_once_in_a_row(model: AdaptedModel) -> None:
    turns = [[{"role": "system", "content": "Name the number."}, *text.turns] for text in TEXTS]
    told = [text.model_copy(update={"turns": own}) for text, own in zip(TEXTS, turns, strict=True)]
    encoded = [encode_example(model.tokenizer, text) for text in told]
    shared = shared_tokens(encoded)
    assert model.tokenizer.decode(encoded[0].prompt[:shared]).endswith("Name the number.<|im_end|>\n<|im_start|>user\n")
    rows = pack_rows(encoded, [[0, 1, 2, 3]], model.pad, shared)
    assert rows.ids.shape == (1, shared + sum(len(one) - shared for one in encoded))


def test_equal_prompts_keep_a_token_of_their_own(model: AdaptedModel) -> None:
    encoded = [encode_example(model.tokenizer, TEXTS[0])] * 2
    assert shared_tokens(encoded) == len(encoded[0].prompt) - 1
    assert shared_tokens([]) == 0


def test_labels_know_their_example(model: AdaptedModel) -> None:
    encoded = [encode_example(model.tokenizer, text) for text in TEXTS]
    packed = pack_rows(encoded, [[2, 0], [3]], model.pad)
    expected = [index for index in (2, 0, 3) for _ in encoded[index].answer]
    assert packed.owners.tolist() == expected


def test_a_template_that_hides_the_answer_or_does_not_end_it_is_refused(model: AdaptedModel) -> None:
    template = model.tokenizer.chat_template
    try:
        model.tokenizer.chat_template = "{{ messages | length }}"
        with pytest.raises(TemplateError, match="changes the prompt"):
            encode_example(model.tokenizer, TEXTS[0])
        model.tokenizer.chat_template = template.replace("<|im_end|>", "#")
        with pytest.raises(TemplateError, match="does not end an answer"):
            encode_example(model.tokenizer, TEXTS[0])
    finally:
        model.tokenizer.chat_template = template


def test_the_length_of_an_example_is_that_of_prompt_and_answer() -> None:
    assert len(EncodedExample([1, 2, 3], [4])) == 4
