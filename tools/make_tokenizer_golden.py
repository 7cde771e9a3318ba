#!/usr/bin/env python3
"""Record what sentencepiece (and, for special tokens, Hugging Face) makes of difficult texts, for the tokenizer tests.

Writes, for the vocabulary given and for small vocabularies trained here that switch on what T5's leaves out, a NAME.model and a
NAME.jsonl of {"text" or "hex", "ids", "decoded"}; lines with "huggingface" carry the ids and the full decoding of T5TokenizerFast
instead. Needs sentencepiece 0.2.3, protobuf and transformers 4.57.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sys
import tempfile
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

HERE = Path(__file__).resolve().parent
SENTINELS = 28

CORPUS = [
    "the elephant wiggles its trunk", "the small elephant and the large elephant", "a task is a few numbers",
    "numbers and words and words and numbers", "one word, two words; three words.", "New York and New York again",
    "the trunk of the elephant is long", "long words are longer than short words", "a b c d e f g h i j k l m",
]
# Source and target code points, as SentencePiece writes normalization rules: fi ligature, full-width a, ideographic and
# no-break space to a space, zero width space to nothing, e and acute to one letter, one letter to a word of two.
RULES = "FB01\t66 69\nFF41\t61\n3000\t20\nA0\t20\n200B\t\n65 301\tE9\n2122\t74 20 6D\n"

# Each switches on something T5's vocabulary does not have.
VARIANTS: dict[str, dict[str, object]] = {
    "symbols": {"user_defined_symbols": ["New York", "<sep>", "ele", "elephant!"]},
    "phrases": {"split_by_whitespace": False},
    "spaces": {"remove_extra_whitespaces": False},
    "bare": {"add_dummy_prefix": False, "remove_extra_whitespaces": False},
    "unescaped": {},
}

TEXTS = [
    # Equal sums: the first candidate wins, and what stands before decides how float32 rounds.
    "mmmmm", "the mmmmm", "zzz", "a zzz", "the zzzzz", "00000", "1111111 and 22222", "<extra b\u2603bbb", "mmmmmmm mmmmmmm mmmmmmm zzz zzz zzzzz",
    "", " ", "   ", "a", " a", "a ", "the elephant wiggles its trunk", "  leading and   double  spaces  ", "\t\n\r\x0b\x0c",
    "New York", "in New York, NewYork", "elephant! ele eleph <sep>x<sep>", "xxx xxxx xxxxx", "bbb bbbb", "\u2581", "\u2581\u2581a\u2581",
    "a \u2581 b", "a\u2581", "naïve café résumé", "e\u0301 o\u0308 n\u0303 A\u030a q\u0307\u0323 q\u0323\u0307", "e\u0301e\u0301e", "\u0301", "a\u0301\u0301\u0301",
    "ﬁ ﬂ ﬀ ﬃ ĳ ŉ", "Ｆｕｌｌｗｉｄｔｈ ＡＢＣ１２３！？", "ﾊﾝｶｸ ｶﾞ ﾊﾟ", "½ ⅓ ² ³ ™ © ® № ℃ Ω Å", "① ⑩ Ⅷ ㍿ ㎏ ﷺ ﷽", "ａ　ｂ", "　　ａ　　",
    "\u00a0no\u00a0break\u00a0", "zero\u200bwidth\u200djoiner\u200cand\ufeffmark", "\ufeffmark first", "soft\u00adhyphen", "line\u2028para\u2029end", "next\u0085line",
    "\x00", "a\x00b", "\x01\x02\x1f\x7f\x80\x9f", "bell\x07 tab\t escape\x1b[0m", "👍 👍🏽 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 1️⃣", "☃☃ ☃x☃", "𝒜𝓑𝔠 𝟙𝟚𝟛", "\U0010ffff \U000e0001",
    "שלום עולם", "مرحبا بالعالم \u202eoverride\u202c", "हिन्दी ภาษาไทย 한국어 각 中文，日本語。", "ǅ ß ẞ İ ı ſ", "“quotes” ‘single’ – — … ‹›",
    "don't it's they're", "3.14159 1,000,000 -5 1e-10", "http://example.org/path?query=1&other=2#part", "user@example.org", "{}[]()<>|\\/~`^",
    "ALL CAPS lower MiXeD", "supercalifragilisticexpialidocious", "a" * 300, "ab" * 150, "é" * 100, "☃" * 100, ". " * 60, "\u200b" * 20 + "a",
]
INVALID = [
    b"\xff", b"a\xffb", b"\xc3", b"\xc3 ", b"\xe2\x82", b"\xe2\x82a", b"\xf0\x9f\x98", b"\xf0\x9f\x98\x80\x80", b"\xc0\x80", b"\xe0\x80\x80",
    b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\x80\x80 \x80", b"\xe2\x96", b"a\xe2\x96\x81\xe2\x96", b"\xef\xbf\xbd",
]
SPECIAL = [
    "</s>", "<pad>", "<unk>", "<extra_id_0>", "<extra_id_27>", "<extra_id_28>", "a</s>b", "a </s> b", "</s></s>", "  </s>  ",
    "The <extra_id_0> walks in <extra_id_1> park", "<extra_id_0> cute dog<extra_id_1>the <extra_id_2>", "<extra_id_1><extra_id_10>",
    "<extra_id_", "<extra_id_0", "</s", "<<extra_id_0>>", "x<unk>☃<unk>", "☃<unk>", "a\u00a0<extra_id_0>\u3000b", "<s> <mask>", "<pad> </s> <unk>",
]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: tools/make_tokenizer_golden.py ~/t5-vocabulary/spiece.model")
    parser.add_argument("model", type=Path, help="a spiece.model whose licence allows committing it")
    parser.add_argument("--output", type=Path, default=HERE.parent / "Tests" / "Fixtures" / "tokenizer")
    return parser.parse_args()


def write_lines(path: Path, lines: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(line, ensure_ascii=True) + "\n" for line in lines))
    print(f"{path}: {len(lines)} texts", file=sys.stderr)


def sentencepiece_lines(model: bytes) -> list[dict[str, object]]:
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    lines: list[dict[str, object]] = []
    for text in TEXTS:
        ids = processor.encode(text)
        lines.append({"text": text, "ids": ids, "decoded": processor.decode(ids)})
    for text in INVALID:
        ids = processor.encode(text)
        decoded = processor.decode(ids)
        lines.append({"hex": text.hex(), "ids": ids, "decoded": decoded})
    return lines


def huggingface_lines(model: Path) -> list[dict[str, object]]:
    from transformers import T5TokenizerFast

    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(model, Path(folder) / "spiece.model")
        (Path(folder) / "tokenizer_config.json").write_text(json.dumps({"extra_ids": SENTINELS}))
        tokenizer = T5TokenizerFast.from_pretrained(folder)
    lines: list[dict[str, object]] = []
    for text in SPECIAL:
        ids = tokenizer.encode(text, add_special_tokens=False)
        lines.append({"text": text, "ids": ids, "decoded": tokenizer.decode(ids), "huggingface": True})
    return lines


def train(options: dict[str, object], escapes: bool) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.tsv"
        rules.write_text(RULES)
        writer = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS * 4), model_writer=writer, model_type="unigram", vocab_size=120,
            hard_vocab_limit=False, normalization_rule_tsv=str(rules), num_threads=1, pad_id=0, eos_id=1, unk_id=2,
            bos_id=-1, minloglevel=2, **options)
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(writer.getvalue())
    model.trainer_spec.ClearField("self_test_sample_size")
    model.normalizer_spec.ClearField("normalization_rule_tsv")
    model.pieces[-1].type = sentencepiece_model_pb2.ModelProto.SentencePiece.UNUSED
    if not escapes:
        model.normalizer_spec.escape_whitespaces = False
        for piece in model.pieces:
            piece.piece = piece.piece.replace("\u2581", " ")
    return model.SerializeToString()


def main() -> None:
    arguments = parse_arguments()
    arguments.output.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(arguments.model, arguments.output / "8k.model")
    lines = sentencepiece_lines(arguments.model.read_bytes()) + huggingface_lines(arguments.model)
    write_lines(arguments.output / "8k.jsonl", lines)
    for name, options in VARIANTS.items():
        model = train(options, escapes=name != "unescaped")
        (arguments.output / f"{name}.model").write_bytes(model)
        write_lines(arguments.output / f"{name}.jsonl", sentencepiece_lines(model))


if __name__ == "__main__":
    main()
